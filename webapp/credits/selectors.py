"""Reading the ledger: balances, statements, receipts."""

import uuid
from dataclasses import dataclass

from webapp.accounts.models import User
from webapp.credits.models import Account, Hold


@dataclass(frozen=True, slots=True)
class Balance:
    """What a user has, in micro-credits."""

    posted_ucr: int
    held_ucr: int

    @property
    def available_ucr(self) -> int:
        """What can still be spent: posted minus held."""
        return self.posted_ucr - self.held_ucr


def get_balance(*, user: User) -> Balance:
    """The user's balance; raises Account.DoesNotExist for a user without an account."""
    account = Account.objects.only("posted_ucr", "held_ucr").get(user=user)
    return Balance(posted_ucr=account.posted_ucr, held_ucr=account.held_ucr)


def count_open_holds(*, user: User) -> int:
    """How many images of the user are still being worked on."""
    return Hold.objects.filter(account__user=user, state=Hold.State.HELD).count()


def get_hold(*, image_id: uuid.UUID) -> Hold | None:
    """The hold of an image; None if the image was free."""
    return Hold.objects.filter(image_id=image_id).first()
