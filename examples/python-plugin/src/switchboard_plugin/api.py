"""What a plugin is made of, and what it may ask of its host."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from . import plugin_pb2 as pb
from .convert import duration, timestamp

MAX_ACTION_ID = 256  # bytes
LIVE = ("start_typing", "stop_typing")  # actions that are not queued, and have no id


class Retry(Exception):
    """Deliver the event again, after so many seconds or by the feed's schedule."""

    def __init__(self, reason: str, after: Optional[float] = None) -> None:
        super().__init__(reason)
        self.after = after


class Pause(Exception):
    """Deliver the event again after so many seconds, and nothing else of the feed before then."""

    def __init__(self, reason: str, hold: float) -> None:
        super().__init__(reason)
        self.hold = hold


class Reject(Exception):
    """Never deliver the event again: it becomes a dead letter."""


class ConfigError(Exception):
    """Refuses the configuration; path is a JSON Pointer into it, such as /endpoints/0/url."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class HostError(Exception):
    """What the host refused. code: INVALID, NOT_GRANTED, NOT_FOUND, UNAVAILABLE or LIMIT."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code.lower().replace('_', ' ')}: {message}")
        self.code = code


@dataclass(frozen=True)
class Event:
    """The envelope; data is the backend's own, decoded from JSON."""

    id: str
    type: str
    account: str
    conversation: str
    time: datetime.datetime
    data: Any
    replayed: bool = False  # it was missed, and fetched later
    by: str = ""  # whose action caused it
    action: str = ""  # the id of that action
    trace_parent: str = ""  # W3C trace context
    trace_state: str = ""


class Work:
    """What a handler has in hand, an event or a timer, and what it may do about it."""

    def __init__(self, host: Host, root: str, log: Mapping[str, str], cause: Optional[Event] = None) -> None:
        self.host, self.log = host, logging.LoggerAdapter(host.log, log)
        self._root, self._sent, self._cause = root, 0, cause

    def do(self, type: str, body: Optional[Mapping[str, Any]] = None, *, id: str = "", account: str = "",
           conversation: str = "", at: Optional[datetime.datetime] = None,
           expires: Optional[datetime.datetime] = None) -> None:
        """Puts an action into the outbound queue, and returns when it is there, on disk.

        Left out, id is the same when the handler runs again and takes the same actions in the same
        order; account and conversation are the event's."""
        if not id and type not in LIVE:
            self._sent += 1
            id = f"{self._root}/{self._sent}"
            if len(id.encode()) > MAX_ACTION_ID:
                id = hashlib.sha256(id.encode()).hexdigest()
        e = self._cause
        self.host.ask(act=pb.Action(
            id=id, type=type, account=account or (e.account if e else ""),
            conversation=conversation or (e.conversation if e else ""),
            body=json.dumps(body).encode() if body else b"", at=timestamp(at), expires=timestamp(expires),
            trace_parent=e.trace_parent if e else "", trace_state=e.trace_state if e else ""))


class Delivery(Work):
    """An event on its way through a handler."""

    def __init__(self, host: Host, key: str, event: Event, feed: str, attempt: int = 1, again: bool = False) -> None:
        super().__init__(
            host, f"{event.id}/{feed}", {"event": event.id, "type": event.type, "conversation": event.conversation},
            event)
        self.event, self.feed = event, feed
        self.key = key  # the idempotency key for a receiver
        self.attempt = attempt  # 1 the first time that this process of the host delivers it
        self.again = again  # the operator had it delivered once more, by hand

    def reply(self, text: str) -> None:
        self.do("send_message", {"content": text})

    def set_status(self, status: str) -> None:
        self.do("update_status", {"status": status})

    def mark_read(self) -> None:
        self.do("mark_as_read")


class Timer(Work):
    """One that the plugin scheduled, and that is due."""

    def __init__(self, host: Host, name: str, at: datetime.datetime, data: bytes) -> None:
        super().__init__(host, f"timer/{name}/{at.isoformat()}", {"timer": name})
        self.name, self.at, self.data = name, at, data


@dataclass
class Feed:
    """A stream of events with a position, retries and dead letters of its own."""

    handle: Callable[[Delivery], None]
    name: str = "default"  # [a-z0-9-]+; stays the same over restarts
    events: Sequence[str] = ()  # none: all that the plugin asks for
    filter: str = ""  # an expression; see plugin.proto
    filter_path: str = ""
    retries: Sequence[float] = ()  # seconds before each further attempt
    timeout: float = 0  # seconds for one delivery; 0: the host's
    window: int = 16  # deliveries at once, each in a thread
    rate: float = 0  # deliveries per second; 0: as they come
    own_echoes: bool = False
    unordered: bool = False


class Host:
    """What a plugin may ask of the process that runs it. Safe for use by threads."""

    def __init__(self, name: str, accounts: Sequence[str], log: logging.Logger) -> None:
        self.name, self.accounts, self.log = name, list(accounts), log
        self.unhealthy = ""  # what keeps the plugin from its work; the operator sees it
        self._lock = threading.Lock()
        self._line: Optional[queue.SimpleQueue] = None
        self._last = 0
        self._waiting: dict[int, queue.SimpleQueue] = {}

    def get(self, key: str) -> Optional[bytes]:
        """The value that was stored under key; None: there is none."""
        try:
            return self.ask(get=pb.Get(key=key)).value.value
        except HostError as e:
            if e.code == "NOT_FOUND":
                return None
            raise

    def put(self, key: str, value: bytes) -> None:
        self.ask(put=pb.Put(key=key, value=value))

    def delete(self, key: str) -> None:
        self.ask(delete=pb.Delete(key=key))

    def keys(self, prefix: str = "") -> Iterator[str]:
        after, more = "", True
        while more:
            found = self.ask(list=pb.List(prefix=prefix, after=after)).keys
            yield from found.keys
            after, more = (found.keys[-1] if found.keys else ""), found.more

    def schedule(self, name: str, at: datetime.datetime, data: bytes = b"") -> None:
        """Sets a timer, or sets it anew. It survives restarts and comes to Plugin.on_timer."""
        self.ask(schedule=pb.Schedule(key=name, at=timestamp(at), data=data))

    def unschedule(self, name: str) -> None:
        self.ask(unschedule=pb.Unschedule(key=name))

    def conversation(self, account: str, conversation: str) -> tuple[Any, list[Any]]:
        """A conversation as the backend has it now, and its messages, oldest first."""
        found = self.ask(look_up=pb.LookUp(account=account, conversation=conversation)).conversation
        return json.loads(found.data), [json.loads(m) for m in found.messages]

    def wait(self, account: str, id: str, timeout: float = 60) -> tuple[str, Any]:
        """What became of an accepted action: the type and the data of the event that tells it."""
        found = self.ask(timeout + 10, wait=pb.Wait(account=account, id=id, timeout=duration(timeout))).result
        return found.type, json.loads(found.data)

    def count(self, name: str, add: float = 1, **labels: str) -> None:
        """Counts something for the operator's metrics. Before there is a line, nothing is counted."""
        if self._line:
            counter = pb.Counter(name=name, labels=labels, add=add)
            self._line.put(pb.FromPlugin(counters=pb.Counters(counters=[counter])))

    def ask(self, timeout: float = 30, **request: Any) -> pb.Answer:
        answer: queue.SimpleQueue = queue.SimpleQueue()
        with self._lock:
            if self._line is None:
                raise HostError("UNAVAILABLE", "not connected to the host")
            self._last += 1
            id = self._last
            self._waiting[id] = answer
            self._line.put(pb.FromPlugin(request=pb.Request(id=id, **request)))
        try:
            got = answer.get(timeout=timeout)
        except queue.Empty:
            raise HostError("UNAVAILABLE", f"no answer within {timeout} s") from None
        finally:
            with self._lock:
                self._waiting.pop(id, None)
        if got.HasField("error"):
            raise HostError(pb.Error.Code.Name(got.error.code).removeprefix("CODE_"), got.error.message)
        return got

    def connected(self, line: Optional[queue.SimpleQueue]) -> None:
        with self._lock:
            self._line = line
            over = pb.Error(code=pb.Error.CODE_UNAVAILABLE, message="the line is over")
            for id, waiting in self._waiting.items():
                waiting.put(pb.Answer(request=id, error=over))

    def answered(self, answer: pb.Answer) -> None:
        with self._lock:
            waiting = self._waiting.get(answer.request)
        if waiting:
            waiting.put(answer)


@dataclass
class Plugin:
    name: str  # [a-z0-9-]+
    version: str
    configure: Callable[[Host, dict], Sequence[Feed]]  # reaches out to nothing
    summary: str = ""
    events: Sequence[str] = ()  # that it may ask for: "message.new", "message.*", "*"
    actions: Sequence[str] = ()  # that it may take; an operator must grant each
    config_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "additionalProperties": False})
    on_timer: Optional[Callable[[Timer], None]] = None
    on_typing: Optional[Callable[[Event], None]] = None
