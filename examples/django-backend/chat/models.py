"""What is stored: accounts, their contacts, and what was said.

Agents are Django users, their tokens those of Django REST framework. Inboxes
and teams are only ids here.
"""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone


class Account(models.Model):
    name = models.CharField(max_length=200)
    agents = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="accounts")


class Contact(models.Model):
    """A customer."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=200)
    email = models.EmailField(null=True, blank=True)
    phone_number = models.CharField(max_length=50, null=True, blank=True)
    avatar_url = models.URLField(null=True, blank=True)
    contact_type = models.CharField(max_length=50, default="customer")


class Label(models.Model):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["name"]
        unique_together = [("account", "name")]


class Conversation(models.Model):
    class Status(models.IntegerChoices):
        OPEN = 0
        RESOLVED = 1
        PENDING = 2
        SNOOZED = 3

    class Priority(models.IntegerChoices):
        LOW = 0
        MEDIUM = 1
        HIGH = 2
        URGENT = 3

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="conversations")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="conversations")
    status = models.IntegerField(choices=Status.choices, default=Status.OPEN)
    priority = models.IntegerField(choices=Priority.choices, default=Priority.LOW)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    inbox_id = models.PositiveIntegerField(default=1)
    team_id = models.PositiveIntegerField(null=True, blank=True)
    labels = models.ManyToManyField(Label, related_name="conversations", blank=True)
    last_message = models.ForeignKey("Message", on_delete=models.SET_NULL, null=True, related_name="+")
    unread_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    last_activity_at = models.DateTimeField(default=timezone.now)
    snoozed_until = models.DateTimeField(null=True, blank=True)

    # The client_ref of the action behind the next save: announced, not stored.
    client_ref = None

    def set_status(self, status):
        """Change the status; a snooze lasts a day."""
        self.status = status
        snoozed = status == self.Status.SNOOZED
        self.snoozed_until = timezone.now() + timedelta(days=1) if snoozed else None
        self.save(update_fields=["status", "snoozed_until"])

    def mark_as_read(self):
        self.unread_count = 0
        self.save(update_fields=["unread_count"])

    def add_message(self, sender, content, message_type, client_ref=None):
        """Store what a Contact or a User says, and what follows from it for the conversation.

        Call it with the row locked: the count of unread messages is read and written.
        """
        now = timezone.now()
        message = Message(
            conversation=self,
            content=content,
            message_type=message_type,
            sender_type=sender._meta.object_name,
            sender_id=sender.pk,
            created_at=now,
            updated_at=now,
        )
        message.client_ref = client_ref
        message.save()

        self.last_message, self.last_activity_at = message, now
        changed = ["last_message", "last_activity_at"]
        if isinstance(sender, Contact):
            self.unread_count += 1
            changed.append("unread_count")
        self.save(update_fields=changed)
        return message


class Message(models.Model):
    class Type(models.IntegerChoices):
        INCOMING = 0
        OUTGOING = 1
        ACTIVITY = 2
        TEMPLATE = 3

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    content = models.TextField()
    message_type = models.IntegerField(choices=Type.choices)
    # The name of the sender's model, "Contact" or "User", and its key.
    sender_type = models.CharField(max_length=50)
    sender_id = models.PositiveBigIntegerField()
    status = models.CharField(max_length=20, default="sent")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    edits = models.PositiveIntegerField(default=0)

    client_ref = None  # as in Conversation

    class Meta:
        ordering = ["id"]

    def edit(self, content):
        """Replace the text. It is no activity: the conversation keeps its place."""
        self.content, self.updated_at = content, timezone.now()
        self.edits += 1
        self.save(update_fields=["content", "updated_at", "edits"])


class Done(models.Model):
    """An action that was done, kept where COUNTS is on: what a bridge is measured against."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="done")
    client_ref = models.CharField(max_length=500, blank=True)
    type = models.CharField(max_length=50)
    conversation_id = models.PositiveBigIntegerField()
    content = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
