"""The Python side of the line between Switchboard and a plugin, protocol version 1.

    from switchboard_plugin import Delivery, Feed, Plugin, serve

    def answer(d: Delivery) -> None:
        d.reply("Hello!")

    serve(Plugin(name="greeter", version="1.0.0", events=["message.new"], actions=["send_message"],
                 configure=lambda host, config: [Feed(answer)]))

Events come at least once and, within a conversation, in order; those of different conversations
are handled side by side, each in a thread. What a handler raises is the event's outcome: nothing
is done; Retry, Pause and Reject say what else; any other exception is tried again on the feed's
schedule, after which the event is a dead letter. The ids of the actions that a Delivery sends are
made of its event, so a handler that runs twice for one event answers once.

Copy this directory into your plugin. plugin_pb2.py in it was made of plugin.proto by protoc 3.21.
It needs Debian's python3-grpcio (1.51), python3-protobuf (4.21) and python3-cryptography, or newer ones.
"""

from .api import ConfigError, Delivery, Event, Feed, Host, HostError, Pause, Plugin, Reject, Retry, Timer
from .process import serve

__all__ = ["ConfigError", "Delivery", "Event", "Feed", "Host", "HostError", "Pause", "Plugin", "Reject", "Retry",
           "Timer", "serve"]
