"""The plugin's tests: PYTHONPATH=src /usr/bin/python3 -B -m unittest discover tests"""

import unittest

from order_status import manifest
from switchboard_plugin.testing import Line

CONFIG = {"orders": {"1234": "Order 1234 is on its way."}}


def message(content: str, sender_type: str = "Contact") -> dict:
    return {"id": 1, "content": content, "conversation_id": 1, "sender_type": sender_type}


class OrderStatus(unittest.TestCase):
    def answers(self, content: str, **kw) -> list:
        with Line(manifest, CONFIG) as line:
            self.assertEqual(line.deliver("message.new", message(content), **kw), "ack")
            return [a.body["content"] for a in line.actions]

    def test_tells_of_an_order(self) -> None:
        self.assertEqual(self.answers("Where is order #1234?"), ["Order 1234 is on its way."])

    def test_takes_a_number_as_people_say_it(self) -> None:
        self.assertEqual(self.answers("The order number is 1234."), ["Order 1234 is on its way."])

    def test_does_not_know_an_order(self) -> None:
        self.assertEqual(self.answers("and order 99?"), ["I cannot find order 99."])

    def test_says_nothing_to_other_messages(self) -> None:
        self.assertEqual(self.answers("I would like to order a chair"), [])

    def test_does_not_answer_what_was_fetched_late(self) -> None:
        self.assertEqual(self.answers("Where is order 1234?", replayed=True), [])

    def test_answers_a_repeated_delivery_once(self) -> None:
        with Line(manifest, CONFIG) as line:
            for _ in range(2):
                self.assertEqual(line.deliver("message.new", message("order 1234?"), id="e1"), "ack")
            self.assertEqual([a.id for a in line.actions], ["e1/default/1"])

    def test_does_not_answer_agents(self) -> None:
        with Line(manifest, CONFIG) as line:
            line.deliver("message.new", message("Your order 1234 is late", sender_type="User"))
            self.assertEqual(line.actions, [])

    def test_refuses_an_order_that_has_no_number(self) -> None:
        line = Line(manifest, {"orders": {"A1": "x"}})
        self.assertEqual(line.problems, [("/orders/A1", "an order's number has digits only")])


if __name__ == "__main__":
    unittest.main()
