from django.urls import path
from django.views.generic import TemplateView

from chat import counts, customers, views

urlpatterns = [
    path("api/v1/accounts/<int:account_id>/conversations/", views.ConversationList.as_view()),
    path("api/v1/accounts/<int:account_id>/conversations/<int:pk>/", views.ConversationDetail.as_view()),
    path("counts/", counts.Counts.as_view()),
    path("customer/conversations/", customers.Conversations.as_view()),
    path("customer/conversations/<int:pk>/messages/", customers.Messages.as_view()),
    path("customer/conversations/<int:pk>/typing/", customers.Typing.as_view()),
    path("customer/messages/<int:pk>/", customers.Edit.as_view()),
    path("", TemplateView.as_view(template_name="chat/customer.html")),
]
