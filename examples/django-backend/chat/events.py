"""Telling the sockets what happened.

An event goes out when its transaction has committed, never before: a client
that answers an event by a REST call finds there what it was told.
"""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction


def account_group(account_id):
    """The group of all sockets of an account."""
    return f"account_{account_id}"


def customer_group(conversation_id):
    """The group of the customer's pages that show a conversation."""
    return f"customer_{conversation_id}"


def announce(event, describe, *groups):
    """Send an event to groups after the commit; describe() then returns its data."""

    def send():
        message = {"type": "broadcast", "frame": {"type": event, "data": describe()}}
        for group in groups:
            async_to_sync(get_channel_layer().group_send)(group, message)

    transaction.on_commit(send)


def announce_typing(conversation, who, name, is_typing, groups, client_ref=None):
    """Tell that somebody began or ceased to type. Nothing of it is stored."""
    data = {"conversation_id": conversation.pk, "user_id": who.pk, "user_name": name, "is_typing": is_typing}
    if client_ref is not None:
        data["client_ref"] = client_ref
    announce("typing.start" if is_typing else "typing.stop", lambda: data, *groups)
