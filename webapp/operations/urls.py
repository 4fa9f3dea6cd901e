"""The addresses of those who run the studio."""

from django.urls import path

from webapp.operations import account_views, acting_views, views

urlpatterns = [
    path("setup/", views.welcome, name="welcome"),
    path("setup/<str:token>/", views.setup, name="setup"),
    path("account/", account_views.account, name="account"),
    path("account/sessions/end/", account_views.end_sessions, name="end_sessions"),
    path(
        "account/sessions/<int:session_id>/end/", account_views.end_one_session, name="end_session"
    ),
    path("account/export/", account_views.export, name="export"),
    path("account/deletion/", account_views.delete_account, name="delete_account"),
    path("language/", account_views.choose_language, name="choose_language"),
    path("acting/end/", acting_views.end, name="end_acting"),
    path("healthz/", views.healthz, name="healthz"),
    path("readyz/", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
]
