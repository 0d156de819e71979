"""What the backend has and did, for measuring a bridge. Off unless COUNTS is set."""

from django.conf import settings
from django.db.models import Sum
from django.http import Http404
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Conversation, Done, Message


class Counts(APIView):
    authentication_classes = []
    permission_classes = []

    def get(self, request):
        if not settings.COUNTS:
            raise Http404
        account = settings.DEMO_ACCOUNT_ID
        messages = Message.objects.filter(conversation__account=account)
        done = Done.objects.filter(account=account)
        return Response(
            {
                "conversations": Conversation.objects.filter(account=account).count(),
                "messages": messages.count(),
                "edits": messages.aggregate(sum=Sum("edits"))["sum"] or 0,
                "done": list(done.values("client_ref", "type", "conversation_id", "content")),
            }
        )
