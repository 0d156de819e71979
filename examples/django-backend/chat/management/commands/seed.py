from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from rest_framework.authtoken.models import Token

from chat.models import Account


class Command(BaseCommand):
    help = "Makes the demo account with its agent and token, or brings them up to date with the settings."

    @transaction.atomic
    def handle(self, *args, **options):
        agent, _ = get_user_model().objects.update_or_create(
            pk=settings.DEMO_AGENT_ID,
            defaults={"username": f"agent-{settings.DEMO_AGENT_ID}", "first_name": "Demo", "last_name": "Agent"},
        )
        account, _ = Account.objects.get_or_create(pk=settings.DEMO_ACCOUNT_ID, defaults={"name": "Demo"})
        account.agents.add(agent)
        # A token that the environment no longer names stops working.
        Token.objects.filter(user=agent).exclude(key=settings.DEMO_TOKEN).delete()
        Token.objects.get_or_create(key=settings.DEMO_TOKEN, user=agent)
