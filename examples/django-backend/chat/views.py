"""REST for agents."""

from django.db import transaction
from rest_framework import filters, generics

from chat.filters import ConversationFilter, StableOrdering
from chat.models import Conversation
from chat.serializers import ConversationDetailSerializer, ConversationSerializer


class ConversationQueryset:
    """The conversations of the account in the URL, with what a serializer reads of them."""

    def get_queryset(self):
        conversations = Conversation.objects.filter(account=self.kwargs["account_id"])
        return conversations.select_related("contact", "last_message").prefetch_related("labels")


class ConversationList(ConversationQueryset, generics.ListAPIView):
    serializer_class = ConversationSerializer
    filter_backends = [ConversationFilter, filters.SearchFilter, StableOrdering]
    search_fields = ["contact__name", "contact__email", "messages__content"]
    ordering_fields = ["id", "created_at", "last_activity_at", "priority", "status", "unread_count"]
    ordering = ["-last_activity_at"]


class ConversationDetail(ConversationQueryset, generics.RetrieveUpdateAPIView):
    serializer_class = ConversationDetailSerializer
    http_method_names = ["get", "patch", "head", "options"]

    @transaction.atomic
    def patch(self, request, *args, **kwargs):
        return super().patch(request, *args, **kwargs)
