"""What customers do: everybody who reaches these endpoints is one.

They stand for the widget of a web site or a messenger. There is no login, so
they belong on a loopback address and nowhere else.
"""

from django.conf import settings
from django.db import transaction
from django.shortcuts import get_object_or_404
from rest_framework import generics, serializers, status
from rest_framework.response import Response

from chat.events import account_group, announce_typing
from chat.models import Contact, Conversation, Message
from chat.serializers import ConversationDetailSerializer, ConversationSerializer, MessageSerializer


class Opening(serializers.Serializer):
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(required=False)
    content = serializers.CharField()


class Content(serializers.Serializer):
    content = serializers.CharField()


class IsTyping(serializers.Serializer):
    is_typing = serializers.BooleanField()


class CustomerView(generics.GenericAPIView):
    authentication_classes = []
    permission_classes = []
    pagination_class = None

    def get_queryset(self):
        return Conversation.objects.filter(account=settings.DEMO_ACCOUNT_ID)

    def read(self, serializer_class):
        """Return the request's body as the serializer validates it."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data


class Conversations(CustomerView, generics.ListAPIView):
    serializer_class = ConversationSerializer

    def get_queryset(self):
        conversations = super().get_queryset().select_related("contact", "last_message")
        return conversations.prefetch_related("labels").order_by("-last_activity_at")[:100]

    @transaction.atomic
    def post(self, request):
        opening = self.read(Opening)
        account = settings.DEMO_ACCOUNT_ID
        contact = Contact.objects.create(account_id=account, name=opening["name"], email=opening.get("email"))
        conversation = Conversation.objects.create(account_id=account, contact=contact)
        conversation.add_message(contact, opening["content"], Message.Type.INCOMING)
        return Response(ConversationDetailSerializer(conversation).data, status.HTTP_201_CREATED)


class Messages(CustomerView):
    def get(self, request, pk):
        return Response(MessageSerializer(self.get_object().messages, many=True).data)

    @transaction.atomic
    def post(self, request, pk):
        content = self.read(Content)["content"]
        conversation = get_object_or_404(self.get_queryset().select_for_update(), pk=pk)
        message = conversation.add_message(conversation.contact, content, Message.Type.INCOMING)
        return Response(MessageSerializer(message).data, status.HTTP_201_CREATED)


class Edit(CustomerView):
    @transaction.atomic
    def patch(self, request, pk):
        content = self.read(Content)["content"]
        own = Message.objects.filter(conversation__in=self.get_queryset(), sender_type="Contact")
        message = get_object_or_404(own.select_for_update(), pk=pk)
        message.edit(content)
        return Response(MessageSerializer(message).data)


class Typing(CustomerView):
    def post(self, request, pk):
        is_typing = self.read(IsTyping)["is_typing"]
        conversation = self.get_object()
        contact = conversation.contact
        announce_typing(conversation, contact, contact.name, is_typing, [account_group(conversation.account_id)])
        return Response(status=status.HTTP_204_NO_CONTENT)
