"""A user and their account are made in one transaction, whoever makes the user; the welcome
credits come with it, or when the mailbox is confirmed."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from django.db import transaction
from django.db.models.signals import post_save

from webapp.accounts.models import User
from webapp.credits import ledger
from webapp.credits.models import Account, Entry, Transaction


def open_account_for_new_user(
    sender: type[User],
    instance: User,
    created: bool,
    raw: bool = False,
    **kwargs: Any,
) -> None:
    """Opens the account, with the welcome unless it waits; fixtures (`raw`) bring their own."""
    if created and not raw:
        ledger.open_account(user=instance, welcome=not instance.welcome_waits)


def welcome_confirmed_user(
    sender: type[EmailAddress], email_address: EmailAddress, **kwargs: Any
) -> None:
    """Grants what waited for the mailbox, once a person: who confirms a second mailbox later is
    not new any more."""
    user = User.objects.select_related("invitation").get(pk=email_address.user_id)
    with transaction.atomic():
        # Two mailboxes that are confirmed at the same moment are welcomed one after the other.
        account = Account.objects.select_for_update().get(user=user)
        if not _is_welcomed(account):
            ledger.grant_welcome(user=user)


def _is_welcomed(account: Account) -> bool:
    welcomes = [Transaction.Kind.GRANT, Transaction.Kind.INVITATION]
    return Entry.objects.filter(account=account, transaction__kind__in=welcomes).exists()


def connect() -> None:
    """Called once, when the apps are ready."""
    post_save.connect(
        open_account_for_new_user, sender=User, dispatch_uid="credits.open_account_for_new_user"
    )
    email_confirmed.connect(welcome_confirmed_user, dispatch_uid="credits.welcome_confirmed_user")
