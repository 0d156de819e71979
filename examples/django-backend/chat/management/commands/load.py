import json
import random
import signal
import time

from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from chat.models import Contact, Conversation, Message
from chat.spoilt import SPOILT


class Command(BaseCommand):
    help = "Writes, edits and changes status at a steady rate, as customers and other agents would."

    def add_arguments(self, parser):
        parser.add_argument("--rate", type=float, default=200, help="events per second (default: 200)")
        parser.add_argument("--conversations", type=int, default=50, help="how many take part (default: 50)")
        parser.add_argument("--for", dest="duration", type=float, default=60, help="seconds (default: 60)")
        parser.add_argument(
            "--spare", type=int, default=0, help="leave the status of every n-th conversation alone (default: 0, none)"
        )
        parser.add_argument(
            "--frames", choices=["plain", *SPOILT], default="plain", help="what the sockets are told (default: plain)"
        )
        parser.add_argument("--seed", type=int, default=0, help="decides who does what (default: 0)")

    def handle(self, *args, **options):
        self.done = {"events": 0, "messages": 0, "edits": 0, "changes": 0}
        self.stopped = False
        if spoil := SPOILT.get(options["frames"]):
            layer = get_channel_layer()
            layer.group_send = spoil(layer.group_send)
        previous = {number: signal.signal(number, self.stop) for number in (signal.SIGTERM, signal.SIGINT)}
        self.stderr.write("loading")  # whoever is to end it again waits for that
        try:
            # One event loop for all that is announced, and so one connection to Redis.
            async_to_sync(sync_to_async(self.work))(options)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.stdout.write(json.dumps(self.done))

    def stop(self, *args):
        self.stopped = True

    def work(self, options):
        dice = random.Random(options["seed"])
        taking_part = self.take_part(options["conversations"])
        # What two set at once has no owner: these are for whoever is measured to change.
        spared = set(taking_part[options["spare"] - 1 :: options["spare"]]) if options["spare"] else set()
        latest = {}  # message by conversation
        began = time.monotonic()
        while not self.stopped and (now := time.monotonic() - began) < options["duration"]:
            if (early := self.done["events"] / options["rate"] - now) > 0:
                time.sleep(early)
                continue
            conversation = dice.choice(taking_part)
            chance = dice.random()
            if chance < 0.15 and conversation in latest:
                self.edit(latest[conversation])
            elif chance < 0.25 and conversation not in spared:
                self.change(conversation, dice.choice(Conversation.Status.values))
            else:
                latest[conversation] = self.write(conversation)

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
