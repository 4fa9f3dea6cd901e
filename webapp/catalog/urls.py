"""The addresses of the price list."""

from django.urls import path

from webapp.catalog import views

urlpatterns = [
    path("prices/", views.prices, name="prices"),
]
