"""Runs a plugin in a unittest: its end of the line, with a host in memory at the other.

    with Line(plugin, {"greeting": "Hello"}) as line:
        outcome = line.deliver("message.new", {"content": "hi", …})
        assert outcome == "ack" and line.actions[0].body == {"content": "Hello"}

What the real host does on top (schema, grants, order, retries) is not here: run
`switchboard plugins test` for that.
"""

from __future__ import annotations

import itertools
import json
import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import plugin_pb2 as pb
from .api import Plugin
from .service import Service

PATIENCE = 10  # seconds that a test waits


@dataclass(frozen=True)
class Action:
    id: str
    type: str
    account: str
    conversation: str
    body: Any
    trace_parent: str


class Line:
    """A plugin under test, connected. It is granted the account "7" and all actions."""

    def __init__(self, plugin: Plugin, config: Optional[Mapping[str, Any]] = None) -> None:
        self.service = Service(plugin, logging.getLogger("plugin"))
        self.actions: list[Action] = []  # that it took; the same id twice is one
        self.store: dict[str, bytes] = {}
        self.timers: dict[str, pb.Schedule] = {}
        # What Host.conversation finds, by its id: the conversation and its messages.
        self.conversations: dict[str, tuple[Any, list[Any]]] = {}
        self._ids = itertools.count(1)
        self._outcomes: queue.SimpleQueue = queue.SimpleQueue()
        self._in: queue.SimpleQueue = queue.SimpleQueue()
        answer = self.service.configure(pb.ConfigureRequest(
            name="under-test", accounts=["7"], config=json.dumps(config or {}).encode()), None)
        # What is wrong with the configuration, as path and message.
        self.problems = [(p.path, p.message) for p in answer.problems]

    def __enter__(self) -> Line:
        assert not self.problems, f"the configuration was refused: {self.problems}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._in.put(pb.FromHost(drain=pb.Drain()))
        self._in.put(None)
        self._thread.join()

    def deliver(self, type: str, data: Any, conversation: str = "1", id: str = "", **attributes: Any) -> str:
        """Delivers an event and returns its outcome: "ack", "retry: reason", "pause: …" or "reject: …"."""
        number = next(self._ids)
        event = pb.Event(id=id or f"e{number}", type=type, account="7", conversation=conversation,
                         data=json.dumps(data).encode(), **attributes)
        feed = next(iter(self.service.feeds))
        return self._send(pb.Delivery(id=number, feed=feed, attempt=1, event=event, key=event.id))

    def fire(self, name: str) -> str:
        """Delivers a timer that the plugin has set, as if its time had come, and returns its outcome."""
        t = self.timers[name]
        timer = pb.Timer(key=t.key, at=t.at, data=t.data)
        outcome = self._send(pb.Delivery(id=next(self._ids), attempt=1, timer=timer))
        if outcome == "ack":
            self.timers.pop(name, None)
        return outcome

    def _send(self, delivery: pb.Delivery) -> str:
        self._in.put(pb.FromHost(deliveries=pb.Deliveries(deliveries=[delivery])))
        outcome = self._outcomes.get(timeout=PATIENCE)
        kind = outcome.WhichOneof("result")
        return kind if kind == "ack" else f"{kind}: {getattr(outcome, kind).reason}"

    def _run(self) -> None:
        for message in self.service.line(iter(self._in.get, None)):
            for outcome in message.outcomes.outcomes:
                self._outcomes.put(outcome)
            if message.HasField("request"):
                self._in.put(pb.FromHost(answer=self._answer(message.request)))

    def _answer(self, request: pb.Request) -> pb.Answer:
        kind = request.WhichOneof("request")
        asked, answer = getattr(request, kind), pb.Answer(request=request.id)
        if kind == "act":
            taken = bool(asked.id) and any(a.id == asked.id for a in self.actions)
            if not taken:
                self.actions.append(Action(asked.id, asked.type, asked.account, asked.conversation,
                                           json.loads(asked.body or b"null"), asked.trace_parent))
            answer.accepted.duplicate = taken
        elif kind == "get" and asked.key in self.store:
            answer.value.value = self.store[asked.key]
        elif kind == "get":
            answer.error.CopyFrom(pb.Error(code=pb.Error.CODE_NOT_FOUND, message="there is nothing under the key"))
        elif kind == "list":
            answer.keys.SetInParent()
            answer.keys.keys.extend(sorted(k for k in self.store if k.startswith(asked.prefix) and k > asked.after))
        elif kind == "wait" and any(a.id == asked.id for a in self.actions):
            answer.result.CopyFrom(pb.Result(type="action.confirmed", data=json.dumps({"id": asked.id}).encode()))
        elif kind == "look_up" and asked.conversation in self.conversations:
            data, messages = self.conversations[asked.conversation]
            answer.conversation.data = json.dumps(data).encode()
            answer.conversation.messages.extend(json.dumps(m).encode() for m in messages)
        elif kind in ("wait", "look_up"):
            answer.error.CopyFrom(pb.Error(code=pb.Error.CODE_NOT_FOUND, message="there is none"))
        elif kind == "put":
            self.store[asked.key] = asked.value
        elif kind == "delete":
            self.store.pop(asked.key, None)
        elif kind == "schedule":
            self.timers[asked.key] = asked
        elif kind == "unschedule":
            self.timers.pop(asked.key, None)
        if answer.WhichOneof("answer") is None:
            answer.done.SetInParent()
        return answer
