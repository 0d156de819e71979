from rest_framework.permissions import BasePermission


class IsAgentOfAccount(BasePermission):
    """Lets agents into their own accounts; others learn nothing, not even which exist."""

    def has_permission(self, request, view):
        user = request.user
        return user.is_authenticated and user.accounts.filter(pk=view.kwargs["account_id"]).exists()
