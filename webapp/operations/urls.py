"""The addresses of those who run the studio."""

from django.urls import path

from webapp.operations import views

urlpatterns = [
    path("setup/<str:token>/", views.setup, name="setup"),
    path("healthz/", views.healthz, name="healthz"),
]
