"""A user and their account are made in one transaction, whoever makes the user; the welcome
credits come with it, or when the mailbox is confirmed, or from an administrator."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed, user_signed_up
from django.db import transaction
from django.db.models.signals import post_save
from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.accounts.networks import client_address
from webapp.credits import ledger, welcomes
from webapp.credits.models import Account, Entry, Transaction


def open_account_for_new_user(
    sender: type[User],
    instance: User,
    created: bool,
    raw: bool = False,
    **kwargs: Any,
) -> None:
    """Opens the account, with the welcome unless it waits; fixtures (`raw`) bring their own."""
    if not created or raw:
        return
    is_visitor = bool(instance.signup_address)
    ledger.open_account(user=instance, welcome=not (is_visitor or instance.welcome_waits))
    if is_visitor and not instance.welcome_waits:
        welcomes.welcome_user(user=instance, address=instance.signup_address)


def tell_new_user(sender: type[User], request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Somebody signed up: they are told if their first credits wait."""
    welcomes.tell_held_welcome(request, user=user)


def welcome_confirmed_user(
    sender: type[EmailAddress],
    email_address: EmailAddress,
    request: HttpRequest | None = None,
    **kwargs: Any,
) -> None:
    """Grants what waited for the mailbox, once a person: who confirms a second mailbox later is
    not new any more."""
    user = User.objects.select_related("invitation").get(pk=email_address.user_id)
    with transaction.atomic():
        # Two mailboxes that are confirmed at the same moment are welcomed one after the other.
        account = Account.objects.select_for_update().get(user=user)
        if not _is_welcomed(account):
            address = client_address(request) if request else ""
            welcomes.welcome_user(user=user, address=address)
    if request:
        welcomes.tell_held_welcome(request, user=user)


def _is_welcomed(account: Account) -> bool:
    welcomes = [Transaction.Kind.GRANT, Transaction.Kind.INVITATION]
    return Entry.objects.filter(account=account, transaction__kind__in=welcomes).exists()


def connect() -> None:
    """Called once, when the apps are ready."""
    post_save.connect(
        open_account_for_new_user, sender=User, dispatch_uid="credits.open_account_for_new_user"
    )
    user_signed_up.connect(tell_new_user, dispatch_uid="credits.tell_new_user")
    email_confirmed.connect(welcome_confirmed_user, dispatch_uid="credits.welcome_confirmed_user")
