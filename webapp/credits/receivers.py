"""A user and their account are made in one transaction, whoever makes the user."""

from typing import Any

from django.db.models.signals import post_save

from webapp.accounts.models import User
from webapp.credits import ledger


def open_account_for_new_user(
    sender: type[User],
    instance: User,
    created: bool,
    raw: bool = False,
    **kwargs: Any,
) -> None:
    """Opens the account and posts the welcome grant; fixtures (`raw`) bring their own."""
    if created and not raw:
        ledger.open_account(user=instance)


def connect() -> None:
    """Called once, when the apps are ready."""
    post_save.connect(
        open_account_for_new_user, sender=User, dispatch_uid="credits.open_account_for_new_user"
    )
