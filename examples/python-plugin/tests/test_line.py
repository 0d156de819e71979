"""What a handler may raise, and what it may ask of the host."""

import datetime
import logging
import unittest
from typing import Callable, Optional

from switchboard_plugin import Delivery, Feed, HostError, Pause, Plugin, Reject, Retry, Timer
from switchboard_plugin import plugin_pb2 as pb
from switchboard_plugin.testing import Line


def plugin(handle: Callable[[Delivery], None], on_timer: Optional[Callable[[Timer], None]] = None) -> Plugin:
    return Plugin(name="test", version="1", events=["*"], actions=["send_message"], on_timer=on_timer,
                  configure=lambda host, config: [Feed(handle, retries=[1.5], timeout=20)])


class Outcomes(unittest.TestCase):
    def outcome(self, e: Optional[Exception]) -> pb.Outcome:
        def handle(d: Delivery) -> None:
            if e:
                raise e

        service = Line(plugin(handle)).service
        delivery = pb.Delivery(id=9, feed="default", event=pb.Event(id="e1", data=b"{}"))
        message = pb.FromHost(deliveries=pb.Deliveries(deliveries=[delivery]))
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)
        (answer,) = service.line([message])
        (outcome,) = answer.outcomes.outcomes
        self.assertEqual(outcome.delivery, 9)
        return outcome

    def test_nothing_is_an_ack(self) -> None:
        self.assertEqual(self.outcome(None).WhichOneof("result"), "ack")

    def test_a_retry_has_its_wait(self) -> None:
        retry = self.outcome(Retry("not yet", after=1.5)).retry
        self.assertEqual((retry.after.ToTimedelta().total_seconds(), retry.reason), (1.5, "not yet"))

    def test_a_retry_without_one_goes_by_the_schedule(self) -> None:
        self.assertFalse(self.outcome(Retry("not yet")).retry.HasField("after"))

    def test_a_pause_has_its_hold(self) -> None:
        pause = self.outcome(Pause("it is down", hold=60)).pause
        self.assertEqual((pause.hold.seconds, pause.reason), (60, "it is down"))

    def test_a_reject_has_its_reason(self) -> None:
        self.assertEqual(self.outcome(Reject("no")).reject.reason, "no")

    def test_another_exception_is_a_retry_by_the_schedule(self) -> None:
        self.assertEqual(self.outcome(KeyError("content")).retry.reason, "KeyError: 'content'")


class Requests(unittest.TestCase):
    def ask(self, handle: Callable[[Delivery], None], **line: object) -> Line:
        with Line(plugin(handle)) as under_test:
            vars(under_test).update(line)
            self.assertEqual(under_test.deliver("message.new", {"id": 1}, id="e1", trace_parent="00-ab-cd-01"), "ack")
        return under_test

    def test_stores(self) -> None:
        seen: list = []

        def handle(d: Delivery) -> None:
            d.host.put("a/1", b"x")
            d.host.put("b/1", b"y")
            seen.extend([d.host.get("a/1"), d.host.get("c"), list(d.host.keys("b/"))])
            d.host.delete("a/1")

        self.assertEqual(self.ask(handle).store, {"b/1": b"y"})
        self.assertEqual(seen, [b"x", None, ["b/1"]])

    def test_counts_the_ids_of_its_actions(self) -> None:
        def handle(d: Delivery) -> None:
            d.reply("one")
            d.do("start_typing")
            d.reply("two")
            d.do("mark_as_read", id="own")

        line = self.ask(handle)
        self.assertEqual([a.id for a in line.actions], ["e1/default/1", "", "e1/default/2", "own"])
        self.assertEqual({a.trace_parent for a in line.actions}, {"00-ab-cd-01"})

    def test_shortens_an_id_that_is_too_long(self) -> None:
        with Line(plugin(lambda d: d.reply("hi"))) as line:
            line.deliver("message.new", {}, id="e" * 300)
        self.assertEqual(len(line.actions[0].id), 64)

    def test_looks_up_and_waits(self) -> None:
        seen: list = []

        def handle(d: Delivery) -> None:
            seen.append(d.host.conversation("7", "1"))
            d.do("send_message", {"content": "hi"}, id="k")
            seen.append(d.host.wait("7", "k"))
            with self.assertRaises(HostError) as refused:
                d.host.wait("7", "other")
            seen.append(refused.exception.code)

        self.ask(handle, conversations={"1": ({"id": 1}, [{"id": 5}])})
        self.assertEqual(seen, [({"id": 1}, [{"id": 5}]), ("action.confirmed", {"id": "k"}), "NOT_FOUND"])

    def test_gets_its_timers(self) -> None:
        at = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
        with Line(plugin(lambda d: d.host.schedule("t", at, b"42"), on_timer=lambda t: t.do(
                "send_message", {"content": t.at.isoformat()}, account="7", conversation=t.data.decode()))) as line:
            line.deliver("message.new", {})
            self.assertEqual(line.fire("t"), "ack")
        (action,) = line.actions
        self.assertEqual((action.id, action.conversation, action.body["content"]),
                         ("timer/t/2030-01-01T00:00:00+00:00/1", "42", "2030-01-01T00:00:00+00:00"))


if __name__ == "__main__":
    unittest.main()
