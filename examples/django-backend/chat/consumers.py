"""The two sockets: one for the agents of an account, one for a customer's page."""

from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from rest_framework.authtoken.models import Token
from rest_framework.serializers import ValidationError

from chat import actions
from chat.events import account_group, customer_group


class Listener(AsyncJsonWebsocketConsumer):
    """A socket that hears what is broadcast to a group."""

    async def listen(self, group):
        """Join, then accept, so that whoever is connected misses nothing."""
        await self.channel_layer.group_add(group, self.channel_name)
        self.groups.append(group)  # the base class leaves these at the end
        await self.accept()

    async def broadcast(self, message):
        await self.send_json(message["frame"])


class AccountConsumer(Listener):
    """All events of an account, and actions in its agent's name."""

    async def connect(self):
        self.account_id = self.scope["url_route"]["kwargs"]["account_id"]
        self.agent = await self.authenticate()
        if self.agent is None:
            await self.close()  # before accept: the handshake is answered with 403
        else:
            await self.listen(account_group(self.account_id))

    @database_sync_to_async
    def authenticate(self):
        """Return the user whose token the query has, if an agent of the account."""
        key = parse_qs(self.scope["query_string"].decode()).get("token", [""])[0]
        tokens = Token.objects.select_related("user")
        token = tokens.filter(key=key, user__is_active=True, user__accounts=self.account_id).first()
        return token and token.user

    async def receive(self, text_data=None, bytes_data=None, **kwargs):
        """Do what a frame asks for. A bad one costs an error frame, not the socket."""
        try:
            kind, data = actions.read(text_data)
            if kind == "ping":
                await self.send_json({"type": "pong", "data": {}})
            else:
                await database_sync_to_async(actions.perform)(kind, data, self.account_id, self.agent)
        except ValidationError as error:
            await self.send_json({"type": "error", "data": {"message": sentence(error)}})


class CustomerConsumer(Listener):
    """The messages of one conversation and its agents' typing, for the customer's page."""

    async def connect(self):
        await self.listen(customer_group(self.scope["url_route"]["kwargs"]["pk"]))

    async def receive(self, **kwargs):
        """Customers write by HTTP; what they say here is not heard."""


def sentence(error):
    """Put a ValidationError, a list of texts by field, into one line."""
    return " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.detail.items())
