"""The addresses of the statement; a receipt is a part of its image's page."""

from django.urls import path

from webapp.statements import views

urlpatterns = [
    path("credits/", views.statement, name="credits"),
    path("credits/statement.csv", views.statement_csv, name="statement_csv"),
]
