"""Every save of a conversation or a message becomes an event.

So no code that changes one can forget to tell.
"""

from django.db.models.signals import post_save
from django.dispatch import receiver

from chat.events import account_group, announce, customer_group
from chat.models import Conversation, Message
from chat.serializers import ConversationSerializer, MessageSerializer

# Changes that a message.new implies: they are no conversation.updated.
IMPLIED = {"last_message", "last_activity_at"}


@receiver(post_save, sender=Conversation)
def conversation_saved(instance, created, update_fields, **kwargs):
    if update_fields is not None and update_fields <= IMPLIED:
        return
    announce(
        "conversation.new" if created else "conversation.updated",
        lambda: ConversationSerializer(instance).data,
        account_group(instance.account_id),
    )


@receiver(post_save, sender=Message)
def message_saved(instance, created, **kwargs):
    announce(
        "message.new" if created else "message.updated",
        lambda: MessageSerializer(instance).data,
        account_group(instance.conversation.account_id),
        customer_group(instance.conversation_id),
    )
