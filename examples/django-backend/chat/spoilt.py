"""Ways for a backend to tell its sockets badly what it has: for measuring a bridge.

Each takes a channel layer's group_send and returns one that misbehaves.
"""

import collections
import itertools

# What no client can read, though each of it is JSON.
GARBAGE = itertools.cycle([[1, 2, 3], "soon", {}, {"type": 7, "data": {}}, {"type": "message.new", "data": "text"}, None])


def duplicated(send):
    """Everything is told twice."""

    async def twice(group, message):
        await send(group, message)
        await send(group, message)

    return twice


def reordered(send):
    """One in five comes after the four behind it. What is held back in the end is lost."""
    count, held = collections.Counter(), {}

    async def late(group, message):
        place, count[group] = count[group] % 5, count[group] + 1
        if place == 0:
            held[group] = message
            return
        await send(group, message)
        if place == 4:
            await send(group, held.pop(group))

    return late


def malformed(send):
    """One in ten comes after a frame that cannot be read."""
    count = itertools.count()

    async def mixed(group, message):
        if next(count) % 10 == 0:
            await send(group, {**message, "frame": next(GARBAGE)})
        await send(group, message)

    return mixed


SPOILT = {spoil.__name__: spoil for spoil in (duplicated, reordered, malformed)}
