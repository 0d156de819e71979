from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from chat.consumers import AccountConsumer, CustomerConsumer

websocket_urlpatterns = [
    path("ws/accounts/<int:account_id>/", AccountConsumer.as_asgi()),
    # No token keeps a foreign page out of this one, so its origin has to.
    path("ws/customer/conversations/<int:pk>/", AllowedHostsOriginValidator(CustomerConsumer.as_asgi())),
]
