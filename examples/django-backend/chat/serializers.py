"""The shapes of the account protocol."""

from django.contrib.auth import get_user_model
from rest_framework import serializers

from chat.models import Contact, Conversation, Label, Message


class EchoingSerializer(serializers.ModelSerializer):
    """Adds the client_ref of the action that caused the change, where there is one."""

    def to_representation(self, instance):
        data = super().to_representation(instance)
        if instance.client_ref is not None:
            data["client_ref"] = instance.client_ref
        return data


class ContactSerializer(serializers.ModelSerializer):
    class Meta:
        model = Contact
        fields = ["id", "name", "email", "phone_number", "avatar_url", "contact_type"]


class LastMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = Message
        fields = ["id", "content", "message_type", "created_at", "sender_type", "sender_id"]


class MessageSerializer(EchoingSerializer):
    class Meta:
        model = Message
        fields = [
            "id", "content", "message_type", "conversation_id", "sender_type", "sender_id",
            "created_at", "updated_at", "status",
        ]  # fmt: skip


class LabelField(serializers.SlugRelatedField):
    """A label by its name; one that is new to the account is made."""

    def __init__(self, **kwargs):
        super().__init__(slug_field="name", queryset=Label.objects.all(), **kwargs)

    def to_internal_value(self, name):
        name = serializers.CharField(max_length=100).run_validation(name)
        conversation = self.root.instance
        return Label.objects.get_or_create(account_id=conversation.account_id, name=name)[0]


class ConversationSerializer(EchoingSerializer):
    """A conversation. What an agent may write by REST is what no action changes."""

    assignee_id = serializers.PrimaryKeyRelatedField(
        source="assignee", queryset=get_user_model().objects.all(), allow_null=True
    )
    contact = ContactSerializer(read_only=True)
    last_message = LastMessageSerializer(read_only=True)
    cached_label_list = LabelField(source="labels", many=True)

    class Meta:
        model = Conversation
        fields = [
            "id", "status", "priority", "assignee_id", "inbox_id", "team_id", "contact", "last_message",
            "unread_count", "created_at", "last_activity_at", "snoozed_until", "cached_label_list",
        ]  # fmt: skip
        read_only_fields = [
            "status", "inbox_id", "unread_count", "created_at", "last_activity_at", "snoozed_until",
        ]  # fmt: skip


class ConversationDetailSerializer(ConversationSerializer):
    messages = MessageSerializer(many=True, read_only=True)

    class Meta(ConversationSerializer.Meta):
        fields = [*ConversationSerializer.Meta.fields, "messages"]
