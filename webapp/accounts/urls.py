"""The address of an invitation; signing in and up is django-allauth's."""

from django.urls import path

from webapp.accounts import views

urlpatterns = [path("invite/<str:token>/", views.invite, name="invite")]
