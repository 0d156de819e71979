"""The filters of the list call."""

from django.db import models
from django.db.models import Case, ExpressionWrapper, Q, Value, When
from django.utils.datastructures import MultiValueDict
from rest_framework import filters, serializers

from chat.models import Conversation


class Numbers(serializers.ListField):
    """A parameter that may be repeated; any of its values fits."""

    child = serializers.IntegerField(min_value=0, max_value=models.BigIntegerField.MAX_BIGINT)


class Texts(serializers.ListField):
    child = serializers.CharField()


class Query(serializers.Serializer):
    """The parameters. The source of each is the lookup that it stands for.

    Bounds of time include the time itself.
    """

    status = Numbers(source="status__in")
    priority = Numbers(source="priority__in")
    assignee = Numbers(source="assignee__in")
    unassigned = serializers.BooleanField(source="assignee__isnull")
    inbox = Numbers(source="inbox_id__in")
    team = Numbers(source="team_id__in")
    labels = Texts(source="labels__name__in")
    contact_type = Texts(source="contact__contact_type__in")
    has_unread = serializers.BooleanField()
    is_snoozed = serializers.BooleanField()
    waiting_for = serializers.ChoiceField(["customer", "agent"])
    created_after = serializers.DateTimeField(source="created_at__gte")
    created_before = serializers.DateTimeField(source="created_at__lte")
    last_activity_after = serializers.DateTimeField(source="last_activity_at__gte")
    last_activity_before = serializers.DateTimeField(source="last_activity_at__lte")


def condition(**lookup):
    return ExpressionWrapper(Q(**lookup), models.BooleanField())


# What the query asks for and no field has.
COMPUTED = {
    "has_unread": condition(unread_count__gt=0),
    "is_snoozed": condition(status=Conversation.Status.SNOOZED),
    # Who spoke last waits for the other.
    "waiting_for": Case(
        When(last_message__sender_type="Contact", then=Value("agent")),
        When(last_message__isnull=False, then=Value("customer")),
    ),
}


class ConversationFilter(filters.BaseFilterBackend):
    """All parameters but search and ordering, which Django REST framework brings along."""

    def filter_queryset(self, request, queryset, view):
        # Partial, so that a flag that is absent is not read as an unticked box, as false.
        query = Query(data=without_empty(request.query_params), partial=True)
        query.is_valid(raise_exception=True)
        return queryset.alias(**COMPUTED).filter(**query.validated_data).distinct()


class StableOrdering(filters.OrderingFilter):
    """Breaks ties by id, so that pages neither repeat nor skip a conversation."""

    def get_ordering(self, request, queryset, view):
        return [*super().get_ordering(request, queryset, view), "id"]


def without_empty(params):
    """Drop the values that a form leaves empty: they ask for nothing."""
    kept = {name: [value for value in values if value] for name, values in params.lists()}
    return MultiValueDict({name: values for name, values in kept.items() if values})
