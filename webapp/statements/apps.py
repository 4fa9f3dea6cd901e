"""The statements app: what became of somebody's credits, line by line and image by image."""

from django.apps import AppConfig


class StatementsConfig(AppConfig):
    """Reads what the ledger and generation wrote; it has no tables, and writes nothing."""

    name = "webapp.statements"
