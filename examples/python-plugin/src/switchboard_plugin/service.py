"""The calls of plugin.proto, answered by a Plugin."""

from __future__ import annotations

import json
import logging
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Callable, Iterable, Iterator, Optional

import grpc

from . import plugin_pb2 as pb
from .api import ConfigError, Delivery, Event, Feed, Host, HostError, Pause, Plugin, Reject, Retry, Timer
from .convert import duration, moment

PROTOCOLS = [1]


class Service:
    """The plugin's end of the line; serve() puts it on a socket, a test calls it directly."""

    def __init__(self, plugin: Plugin, log: logging.Logger, ended: Callable[[], None] = lambda: None) -> None:
        self.plugin, self.log, self.ended = plugin, log, ended
        self.host: Optional[Host] = None
        self.feeds: dict[str, Feed] = {}

    def describe(self, _request: pb.DescribeRequest, _context: Any) -> pb.Manifest:
        p = self.plugin
        return pb.Manifest(name=p.name, version=p.version, summary=p.summary, events=p.events, actions=p.actions,
                           config_schema=json.dumps(p.config_schema).encode(), protocols=PROTOCOLS)

    def configure(self, request: pb.ConfigureRequest, _context: Any) -> pb.ConfigureResponse:
        host = Host(request.name, request.accounts, self.log)
        try:
            feeds = self.plugin.configure(host, json.loads(request.config or b"{}"))
        except ConfigError as e:
            return pb.ConfigureResponse(problems=[pb.Problem(path=e.path, message=str(e))])
        except Exception as e:
            self.log.exception("configure failed")
            return pb.ConfigureResponse(problems=[pb.Problem(message=f"{type(e).__name__}: {e}")])
        self.host, self.feeds = host, {f.name: f for f in feeds}
        return pb.ConfigureResponse(feeds=[pb.Feed(
            name=f.name, events=f.events or self.plugin.events, filter=f.filter, filter_path=f.filter_path,
            retries=[duration(r) for r in f.retries], timeout=duration(f.timeout) if f.timeout else None,
            window=f.window, rate=f.rate, own_echoes=f.own_echoes, unordered=f.unordered) for f in feeds])

    def connect(self, incoming: Iterable[pb.FromHost], context: Any) -> Iterator[pb.FromPlugin]:
        if self.host is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Connect before Configure")
        # The callback comes however the stream ends; a generator that has not begun never ends.
        if not context.add_callback(self.ended):
            self.ended()
        return self.line(incoming)

    def line(self, incoming: Iterable[pb.FromHost]) -> Iterator[pb.FromPlugin]:
        assert self.host
        out: queue.SimpleQueue = queue.SimpleQueue()
        self.host.connected(out)
        threading.Thread(target=self._read, args=(self.host, incoming, out), daemon=True).start()
        yield from iter(out.get, None)

    def _read(self, host: Host, incoming: Iterable[pb.FromHost], out: queue.SimpleQueue) -> None:
        """Reads until the host has nothing more to say. It never waits for a handler: the answers
        that handlers wait for come this way, and pings must be answered at once."""
        workers = ThreadPoolExecutor(sum(f.window for f in self.feeds.values()) + 4)
        typing = ThreadPoolExecutor(1)
        in_hand: set[Future] = set()
        try:
            for message in incoming:
                kind = message.WhichOneof("message")
                if kind == "deliveries":
                    in_hand = {f for f in in_hand if not f.done()}
                    in_hand |= {workers.submit(self._deliver, host, d, out) for d in message.deliveries.deliveries}
                elif kind == "live" and self.plugin.on_typing:
                    typing.submit(self._typing, self.plugin.on_typing, message.live.event)
                elif kind == "answer":
                    host.answered(message.answer)
                elif kind == "ping":
                    out.put(pb.FromPlugin(pong=pb.Pong(number=message.ping.number, unhealthy=host.unhealthy)))
                elif kind == "drain":  # what is in hand still gets its answers here
                    threading.Thread(target=_end, args=(in_hand, out), daemon=True).start()
            host.connected(None)  # no answers come any more
            wait(in_hand)
        except grpc.RpcError:
            self.log.debug("the line to the host broke")
        finally:
            host.connected(None)
            out.put(None)

    def _deliver(self, host: Host, d: pb.Delivery, out: queue.SimpleQueue) -> None:
        outcome = pb.Outcome(delivery=d.id)
        try:
            self._handle(host, d)
            outcome.ack.SetInParent()
        except Retry as e:
            outcome.retry.CopyFrom(pb.Retry(after=None if e.after is None else duration(e.after), reason=_reason(e)))
        except Pause as e:
            outcome.pause.CopyFrom(pb.Pause(hold=duration(e.hold), reason=_reason(e)))
        except Reject as e:
            outcome.reject.reason = _reason(e)
        except HostError as e:
            outcome.retry.reason = _reason(e)
        except Exception as e:
            self.log.exception("handler failed", extra={"event": d.event.id, "timer": d.timer.key})
            outcome.retry.reason = _reason(e, type(e).__name__ + ": ")
        out.put(pb.FromPlugin(outcomes=pb.Outcomes(outcomes=[outcome])))

    def _handle(self, host: Host, d: pb.Delivery) -> None:
        if d.HasField("timer"):
            if self.plugin.on_timer is None:
                raise Reject("this plugin has no on_timer")
            return self.plugin.on_timer(Timer(host, d.timer.key, moment(d.timer.at), d.timer.data))
        if d.feed not in self.feeds:
            raise Reject(f"no feed {d.feed!r} was declared")
        self.feeds[d.feed].handle(Delivery(host, d.key or d.event.id, event(d.event), d.feed, d.attempt, d.again))

    def _typing(self, handle: Callable[[Event], None], e: pb.Event) -> None:
        try:
            handle(event(e))
        except Exception:
            self.log.exception("on_typing failed")


def _end(in_hand: set[Future], out: queue.SimpleQueue) -> None:
    """Ends the line when all that is in hand has its outcome."""
    wait(in_hand)
    out.put(None)


def event(e: pb.Event) -> Event:
    try:
        data = json.loads(e.data or b"null")
    except ValueError as err:
        raise Reject(f"read the event's data: {err}") from None
    return Event(e.id, e.type, e.account, e.conversation, moment(e.time), data, e.replayed, e.by, e.action,
                 e.trace_parent, e.trace_state)


def _reason(e: Exception, prefix: str = "") -> str:
    return (prefix + str(e))[:4096].encode(errors="replace").decode() or "no reason was given"
