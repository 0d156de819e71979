"""The account protocol, from outside: sockets, REST, customers."""

import io
import json

from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.management import call_command
from django.test import TransactionTestCase, override_settings
from rest_framework.test import APIClient

from backend.asgi import application
from chat.models import Conversation, Message
from chat.spoilt import SPOILT

LIST = f"/api/v1/accounts/{settings.DEMO_ACCOUNT_ID}/conversations/"


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
class BackendTestCase(TransactionTestCase):
    """A seeded account; transactions are real, since events wait for their commit."""

    def setUp(self):
        call_command("seed")
        self.customer = APIClient()
        self.agent = APIClient(HTTP_AUTHORIZATION=f"Token {settings.DEMO_TOKEN}")

    def open_conversation(self, name="Ada", content="Hello"):
        return self.customer.post("/customer/conversations/", {"name": name, "content": content}).json()

    def write(self, conversation, content):
        path = f"/customer/conversations/{conversation['id']}/messages/"
        return self.customer.post(path, {"content": content}).json()


class SocketTest(BackendTestCase):
    async def connect(self):
        socket = self.socket(settings.DEMO_TOKEN)
        accepted, _ = await socket.connect()
        self.assertTrue(accepted)
        return socket

    def socket(self, token, account=settings.DEMO_ACCOUNT_ID):
        return WebsocketCommunicator(application, f"/ws/accounts/{account}/?token={token}")

    async def act(self, socket, kind, **data):
        """Send an action and return the frame that comes of it."""
        await socket.send_json_to({"type": kind, "data": data})
        return await socket.receive_json_from()

    async def test_refuses_a_wrong_token_and_another_account(self):
        for socket in self.socket("wrong"), self.socket(settings.DEMO_TOKEN, account=8):
            accepted, _ = await socket.connect()
            self.assertFalse(accepted)

    async def test_tells_what_customers_do(self):
        socket = await self.connect()
        conversation = await sync_to_async(self.open_conversation)()
        message = conversation["messages"][0]
        await sync_to_async(self.customer.patch)(f"/customer/messages/{message['id']}/", {"content": "Hallo"})
        typing = f"/customer/conversations/{conversation['id']}/typing/"
        for is_typing in True, False:
            await sync_to_async(self.customer.post)(typing, {"is_typing": is_typing})
        frames = [await socket.receive_json_from() for _ in range(6)]
        self.assertEqual(
            [frame["type"] for frame in frames],
            [
                "conversation.new", "message.new", "conversation.updated", "message.updated",
                "typing.start", "typing.stop",
            ],
        )  # fmt: skip
        self.assertEqual(frames[1]["data"], message)
        self.assertEqual(frames[2]["data"]["unread_count"], 1)
        self.assertEqual(frames[3]["data"]["content"], "Hallo")
        await socket.disconnect()

    async def test_an_action_comes_back_to_every_socket(self):
        conversation = (await sync_to_async(self.open_conversation)())["id"]
        sender, other = await self.connect(), await self.connect()
        for kind, data, event in [
            ("send_message", {"content": "Hi", "message_type": 0}, "message.new"),
            ("update_status", {"status": 3}, "conversation.updated"),
            ("mark_as_read", {}, "conversation.updated"),
            ("start_typing", {}, "typing.start"),
            ("stop_typing", {}, "typing.stop"),
        ]:
            with self.subTest(kind):
                frame = await self.act(sender, kind, conversation_id=conversation, client_ref="r1", **data)
                self.assertEqual(frame["type"], event)
                self.assertEqual(frame["data"]["client_ref"], "r1")
                self.assertEqual(await other.receive_json_from(), frame)
        with override_settings(ECHO_CLIENT_REF=False):
            frame = await self.act(sender, "mark_as_read", conversation_id=conversation, client_ref="r2")
            self.assertNotIn("client_ref", frame["data"])
        await sender.disconnect()
        await other.disconnect()

    async def test_answers_pings_and_survives_bad_frames(self):
        socket = await self.connect()
        for text in ["not JSON", "[]", "{}", '{"type": "dance"}', '{"type": "send_message", "data": {}}']:
            with self.subTest(text):
                await socket.send_to(text)
                self.assertEqual((await socket.receive_json_from())["type"], "error")
        self.assertEqual((await self.act(socket, "mark_as_read", conversation_id=404))["type"], "error")
        await socket.send_json_to({"type": "ping"})
        self.assertEqual((await socket.receive_json_from())["type"], "pong")
        await socket.disconnect()


    async def test_counts_what_was_done(self):
        conversation = (await sync_to_async(self.open_conversation)())["id"]
        count = sync_to_async(self.customer.get)
        self.assertEqual((await count("/counts/")).status_code, 404)
        with override_settings(COUNTS=True):
            socket = await self.connect()
            for kind, data in [
                ("send_message", {"content": "Hi", "client_ref": "r1"}),
                ("send_message", {"content": "Hi", "client_ref": "r1"}),
                ("start_typing", {"client_ref": "r2"}),
                ("update_status", {"status": 1}),
                ("send_message", {"content": " ", "client_ref": "r3"}),
            ]:
                await self.act(socket, kind, conversation_id=conversation, **data)
            message = await sync_to_async(Message.objects.first)()
            for content in "One", "Two":
                await sync_to_async(self.customer.patch)(f"/customer/messages/{message.pk}/", {"content": content})
            counts = (await count("/counts/")).json()
            self.assertEqual([counts["conversations"], counts["messages"], counts["edits"]], [1, 3, 2])
            said = {"client_ref": "r1", "type": "send_message", "conversation_id": conversation, "content": "Hi"}
            status = {"client_ref": "", "type": "update_status", "conversation_id": conversation, "content": ""}
            self.assertEqual(counts["done"], [said, said, status])
            await socket.disconnect()


class LoadTest(BackendTestCase):
    def test_writes_edits_and_changes_at_a_rate(self):
        out = io.StringIO()
        call_command("load", rate=100, conversations=3, duration=1, seed=1, stdout=out)
        told = json.loads(out.getvalue())
        self.assertEqual(Conversation.objects.count(), 3)
        self.assertEqual(Message.objects.count(), told["messages"])
        self.assertEqual(sum(message.edits for message in Message.objects.all()), told["edits"])
        self.assertGreater(told["edits"], 0)
        self.assertGreater(told["changes"], 0)
        self.assertLessEqual(told["events"], 110)
        call_command("load", rate=100, conversations=3, duration=0, seed=1, stdout=out)
        self.assertEqual(Conversation.objects.count(), 3, "those that are there are used again")

    def test_leaves_alone_what_it_is_told_to_spare(self):
        call_command("load", rate=200, conversations=4, duration=1, spare=2, seed=1, stdout=io.StringIO())
        changed = [bool(conversation.status) for conversation in Conversation.objects.order_by("id")]
        self.assertEqual(changed[1::2], [False, False])
        self.assertIn(True, changed[::2])

    def spoil(self, name):
        """Return what comes of ten frames, 0 to 9."""
        came = []

        async def send(group, message):
            came.append(message["frame"])

        spoilt = SPOILT[name](send)
        for frame in range(10):
            async_to_sync(spoilt)("account_7", {"type": "broadcast", "frame": frame})
        return came

    def test_can_tell_badly_what_it_does(self):
        self.assertEqual(self.spoil("duplicated"), [n // 2 for n in range(20)])
        self.assertEqual(self.spoil("reordered"), [1, 2, 3, 4, 0, 6, 7, 8, 9, 5])
        self.assertEqual(self.spoil("malformed")[1:], [*range(10)])


class RestTest(BackendTestCase):
    def found(self, query):
        return [conversation["contact"]["name"] for conversation in self.agent.get(LIST + query).json()["results"]]

    def test_asks_for_a_token_of_the_account(self):
        self.assertEqual(self.customer.get(LIST).status_code, 401)
        self.assertEqual(self.agent.get("/api/v1/accounts/8/conversations/").status_code, 403)

    def test_shows_messages_oldest_first(self):
        conversation = self.open_conversation()
        self.write(conversation, "Anybody there?")
        detail = self.agent.get(f"{LIST}{conversation['id']}/").json()
        self.assertEqual([message["content"] for message in detail["messages"]], ["Hello", "Anybody there?"])
        self.assertEqual(detail["last_message"]["content"], "Anybody there?")

    def test_filters(self):
        ada, bob = self.open_conversation("Ada", "Printer on fire"), self.open_conversation("Bob")
        changes = {"priority": 3, "assignee_id": settings.DEMO_AGENT_ID, "team_id": 2, "cached_label_list": ["vip"]}
        self.assertEqual(self.agent.patch(f"{LIST}{ada['id']}/", changes).status_code, 200)
        Conversation.objects.get(pk=bob["id"]).set_status(Conversation.Status.SNOOZED)
        Conversation.objects.get(pk=bob["id"]).mark_as_read()
        for query, names in [
            ("?ordering=created_at", ["Ada", "Bob"]),
            ("?ordering=-created_at", ["Bob", "Ada"]),
            ("?ordering=created_at&status=0&status=3", ["Ada", "Bob"]),
            ("?status=3", ["Bob"]),
            ("?priority=3", ["Ada"]),
            (f"?assignee={settings.DEMO_AGENT_ID}", ["Ada"]),
            ("?unassigned=true", ["Bob"]),
            ("?inbox=2", []),
            ("?team=2", ["Ada"]),
            ("?labels=vip&labels=new", ["Ada"]),
            ("?contact_type=lead", []),
            ("?has_unread=true", ["Ada"]),
            ("?is_snoozed=false", ["Ada"]),
            ("?waiting_for=customer", []),
            (f"?created_after={bob['created_at']}", ["Bob"]),
            (f"?last_activity_before={ada['last_activity_at']}", ["Ada"]),
            ("?search=fire", ["Ada"]),
            ("?search=bob&status=", ["Bob"]),
        ]:
            with self.subTest(query):
                self.assertEqual(self.found(query), names)
        self.assertEqual(self.agent.get(LIST + "?status=open").status_code, 400)

    def test_pages_skip_nothing_that_moves(self):
        opened = [self.open_conversation(f"Customer {n}")["id"] for n in range(60)]
        since = self.agent.get(f"{LIST}{opened[3]}/").json()["last_activity_at"]
        seen, path = [], f"{LIST}?ordering=-last_activity_at&last_activity_after={since}"
        while path:
            page = self.agent.get(path).json()
            seen += [conversation["id"] for conversation in page["results"]]
            if path := page["next"]:
                self.assertTrue(path.startswith("http://testserver/"), path)
                self.write({"id": opened[3]}, "I move to the top")
        self.assertLessEqual(set(opened[4:]), set(seen))
        self.assertNotIn(opened[2], seen)

    def test_shows_long_conversations_whole(self):
        conversation = Conversation.objects.get(pk=self.open_conversation()["id"])
        now = conversation.created_at
        Message.objects.bulk_create(
            Message(
                conversation=conversation, content="More", message_type=0, sender_type="Contact",
                sender_id=conversation.contact_id, created_at=now, updated_at=now,
            )
            for _ in range(10_000)
        )  # fmt: skip
        messages = self.agent.get(f"{LIST}{conversation.pk}/").json()["messages"]
        ids = [message["id"] for message in messages]
        self.assertEqual(len(ids), 10_001)
        self.assertEqual(ids, sorted(ids))

    def test_customers_edit_only_their_own(self):
        conversation = Conversation.objects.get(pk=self.open_conversation()["id"])
        agent = conversation.account.agents.get()
        reply = conversation.add_message(agent, "Hi", 1)
        answer = self.customer.patch(f"/customer/messages/{reply.pk}/", {"content": "Bye"})
        self.assertEqual(answer.status_code, 404)
