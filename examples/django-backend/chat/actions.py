"""What an agent can do over the socket.

An action is a serializer: its fields are the action's data, and perform() does
it. The event that tells of it comes from the models' signals.
"""

import json

from django.conf import settings
from django.db import models, transaction
from rest_framework import serializers

from chat.events import account_group, announce_typing, customer_group
from chat.models import Conversation, Done, Message


class Action(serializers.Serializer):
    conversation_id = serializers.IntegerField(min_value=1, max_value=models.BigIntegerField.MAX_BIGINT)
    client_ref = serializers.CharField(required=False)

    @property
    def client_ref_to_echo(self):
        return self.validated_data.get("client_ref") if settings.ECHO_CLIENT_REF else None

    def perform(self, conversation, agent):
        raise NotImplementedError


class SendMessage(Action):
    content = serializers.CharField()
    message_type = serializers.ChoiceField(Message.Type.choices, default=Message.Type.OUTGOING)

    def perform(self, conversation, agent):
        said = self.validated_data
        conversation.add_message(agent, said["content"], said["message_type"], self.client_ref_to_echo)


class UpdateStatus(Action):
    status = serializers.ChoiceField(Conversation.Status.choices)

    def perform(self, conversation, agent):
        conversation.client_ref = self.client_ref_to_echo
        conversation.set_status(self.validated_data["status"])


class MarkAsRead(Action):
    def perform(self, conversation, agent):
        conversation.client_ref = self.client_ref_to_echo
        conversation.mark_as_read()


class StartTyping(Action):
    is_typing = True

    def perform(self, conversation, agent):
        groups = account_group(conversation.account_id), customer_group(conversation.pk)
        name = agent.get_full_name() or agent.get_username()
        announce_typing(conversation, agent, name, self.is_typing, groups, self.client_ref_to_echo)


class StopTyping(StartTyping):
    is_typing = False


ACTIONS = {
    "send_message": SendMessage,
    "update_status": UpdateStatus,
    "mark_as_read": MarkAsRead,
    "start_typing": StartTyping,
    "stop_typing": StopTyping,
}

# Typing is neither stored nor counted.
COUNTED = {"send_message", "update_status", "mark_as_read"}


class Frame(serializers.Serializer):
    """What a client sends."""

    type = serializers.ChoiceField(["ping", *ACTIONS])
    data = serializers.DictField(default=dict)


def read(text):
    """Return a frame's type and data, or raise a ValidationError that says what is wrong with it."""
    try:
        content = json.loads(text or "")
    except ValueError as error:
        raise serializers.ValidationError({"frame": [f"Not JSON: {error}."]})
    frame = Frame(data=content)
    frame.is_valid(raise_exception=True)
    return frame.validated_data["type"], frame.validated_data["data"]


def perform(kind, data, account_id, agent):
    """Do an action, or raise a ValidationError that says why not."""
    action = ACTIONS[kind](data=data)
    action.is_valid(raise_exception=True)
    with transaction.atomic():
        conversation = (
            Conversation.objects.select_for_update()
            .filter(account_id=account_id, pk=action.validated_data["conversation_id"])
            .first()
        )
        if conversation is None:
            raise serializers.ValidationError({"conversation_id": ["There is no such conversation."]})
        action.perform(conversation, agent)
        if settings.COUNTS and kind in COUNTED:
            said = action.validated_data
            Done.objects.create(
                account_id=account_id,
                client_ref=said.get("client_ref", ""),
                type=kind,
                conversation_id=conversation.pk,
                content=said.get("content", ""),
            )
