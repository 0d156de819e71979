#!/usr/bin/python3 -B
"""A plugin of Switchboard that tells customers how their order is getting on."""

import re

from switchboard_plugin import ConfigError, Delivery, Feed, Host, Plugin, serve

UNKNOWN = "I cannot find order {order}."

SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["orders"],
    "properties": {
        "orders": {"type": "object", "additionalProperties": {"type": "string"},
                   "description": "What there is to say of each order, by its number."},
        "unknown": {"type": "string", "default": UNKNOWN,
                    "description": "What to say of a number that is not among them."},
    },
}


def configure(host: Host, config: dict) -> list[Feed]:
    orders: dict[str, str] = config["orders"]
    for number in orders:
        if not number.isdigit():
            raise ConfigError(f"/orders/{number}", "an order's number has digits only")

    def answer(d: Delivery) -> None:
        message = d.event.data
        asked = re.search(r"\border(?: number(?: is)?)?\s+#?(\d+)", message.get("content") or "", re.IGNORECASE)
        if message.get("sender_type") != "Contact" or d.event.replayed or not asked:
            return
        number = asked[1]
        d.log.info("asked for an order", extra={"order": number})
        d.reply(orders.get(number) or config.get("unknown", UNKNOWN).format(order=number))

    return [Feed(answer)]


manifest = Plugin(
    name="order-status", version="1.0.0", summary="Tells customers how their order is getting on",
    events=["message.new"], actions=["send_message"], config_schema=SCHEMA, configure=configure)

def main() -> None:
    serve(manifest)


if __name__ == "__main__":
    main()
