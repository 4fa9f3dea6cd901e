"""The addresses of pages that move or ask for credits; the statement has a room of its own."""

from django.urls import path

from webapp.credits import views

urlpatterns = [
    path("credits/redeem/", views.redeem, name="redeem_code"),
    path("credits/request/", views.ask, name="ask_for_credits"),
    path("credits/request/<int:request_id>/withdrawal/", views.withdraw, name="withdraw_request"),
]
