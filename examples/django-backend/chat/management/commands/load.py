import json
import random
import signal
import time

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from chat.models import Contact, Conversation, Message


class Command(BaseCommand):
    help = "Writes, edits and changes status at a steady rate, as customers and other agents would."

    def add_arguments(self, parser):
        parser.add_argument("--rate", type=float, default=200, help="events per second (default: 200)")
        parser.add_argument("--conversations", type=int, default=50, help="how many take part (default: 50)")
        parser.add_argument("--for", dest="duration", type=float, default=60, help="seconds (default: 60)")
        parser.add_argument("--seed", type=int, default=0, help="decides who does what (default: 0)")

    def handle(self, *args, rate, conversations, duration, seed, **options):
        self.done = {"events": 0, "messages": 0, "edits": 0, "changes": 0}
        dice = random.Random(seed)
        taking_part = self.take_part(conversations)
        latest = {}  # message by conversation
        began = time.monotonic()
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while (now := time.monotonic() - began) < duration:
                if (early := self.done["events"] / rate - now) > 0:
                    time.sleep(early)
                    continue
                conversation = dice.choice(taking_part)
                chance = dice.random()
                if chance < 0.15 and conversation in latest:
                    self.edit(latest[conversation])
                elif chance < 0.25:
                    self.change(conversation, dice.choice(Conversation.Status.values))
                else:
                    latest[conversation] = self.write(conversation)
        except KeyboardInterrupt:
            pass  # what was begun has been rolled back
        finally:
            signal.signal(signal.SIGTERM, previous)
            self.stdout.write(json.dumps(self.done))

    def take_part(self, count):
        """Return the ids of the conversations that take part; what is missing is opened."""
        account = settings.DEMO_ACCOUNT_ID
        ids = list(Conversation.objects.filter(account=account).order_by("id").values_list("id", flat=True)[:count])
        for n in range(len(ids), count):
            with transaction.atomic():
                contact = Contact.objects.create(account_id=account, name=f"Customer {n + 1}")
                ids.append(Conversation.objects.create(account_id=account, contact=contact).pk)
        return ids

    def count(self, what, events):
        self.done[what] += 1
        self.done["events"] += events

    def write(self, pk):
        with transaction.atomic():
            conversation = Conversation.objects.select_for_update().get(pk=pk)
            content = f"Message {self.done['messages'] + 1}"
            message = conversation.add_message(conversation.contact, content, Message.Type.INCOMING)
        self.count("messages", 2)  # message.new, and conversation.updated for the unread count
        return message.pk

    def edit(self, pk):
        with transaction.atomic():
            message = Message.objects.select_for_update().get(pk=pk)
            message.edit(f"{message.content}, edited")
        self.count("edits", 1)

    def change(self, pk, status):
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=pk).set_status(status)
        self.count("changes", 1)
