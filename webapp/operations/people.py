"""What is done to a user as a whole, over all rooms: suspended, restored, deleted.

Deleting is asked for in one commit (suspended, marked, written down) and done afterwards in short
transactions by `finish_deletions`, which may be killed anywhere and run again.
"""

import logging

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.accounts.second_step import remove_second_steps
from webapp.accounts.sessions import new_epoch
from webapp.core import audit, herald
from webapp.core.errors import Conflict
from webapp.core.texts import check_text
from webapp.credits import ledger
from webapp.credits.ledger.grants import UNFINISHED
from webapp.generation.erasure import cancel_all, erase_images
from webapp.generation.models import Image, QueueShare

logger = logging.getLogger(__name__)

MAX_REASON_LENGTH = 200
FINISH_DELETIONS = "webapp.operations.tasks.finish_deletions"


def suspend_user(*, user: User, actor: User, reason: str) -> None:
    """Suspends an account: sessions end, live images are cancelled, their credits come back.

    Raises InvalidInput for an empty or long reason, and Conflict if it is the actor's own, the
    last administrator's, or suspended already; then nothing changes.
    """
    reason = read_reason(reason)
    if user.pk == actor.pk:
        raise Conflict(_("You can't suspend your own account."))
    with transaction.atomic():
        _keep_an_administrator(but=user)
        off = User.objects.filter(pk=user.pk, is_active=True).update(
            is_active=False, suspended_reason=reason, session_epoch=new_epoch()
        )
        if not off:
            raise Conflict(_("This account is already suspended."))
        audit.record(
            actor=actor,
            action="user.suspend",
            subject=user,
            reason=reason,
            before={"is_active": True},
            after={"is_active": False},
        )
    cancel_all(owner=user)


def restore_user(*, user: User, actor: User, reason: str) -> None:
    """Lifts a suspension; sessions stay ended, and what was cancelled stays so.

    Raises InvalidInput for an empty or long reason, and Conflict if the account is not suspended,
    or is being deleted.
    """
    reason = read_reason(reason)
    with transaction.atomic():
        stored = User.objects.select_for_update().get(pk=user.pk)
        on = User.objects.filter(pk=user.pk, is_active=False, deletion_asked_at=None).update(
            is_active=True, suspended_reason="", session_epoch=new_epoch()
        )
        if not on:
            raise Conflict(_("This account is not suspended, or it is being deleted."))
        audit.record(
            actor=actor,
            action="user.restore",
            subject=user,
            reason=reason,
            before={"is_active": False, "suspended_reason": stored.suspended_reason},
            after={"is_active": True},
        )


def take_off_second_step(*, user: User, actor: User | None, reason: str) -> None:
    """Removes two-factor authentication (app, passkeys, recovery codes) of somebody who lost it:
    they sign in with the password alone again. `actor` is None on the command line.

    Raises InvalidInput for an empty or long reason, and Conflict if the account has none.
    """
    reason = read_reason(reason)
    with transaction.atomic():
        if not remove_second_steps(user=user):
            raise Conflict(_("This account does not use two-factor authentication."))
        audit.record(actor=actor, action="user.second_step_off", subject=user, reason=reason)


def delete_user(*, user: User, actor: User, reason: str) -> None:
    """Ends the account for good and has it deleted, images and all, within minutes.

    What is left is the ledger under a pseudonym, and the audit log. Asked for twice it
    is done once. Raises InvalidInput for an empty or long reason, and Conflict if it is the
    last administrator's; then nothing changes.
    """
    reason = read_reason(reason)
    with transaction.atomic():
        _keep_an_administrator(but=user)
        marked = User.objects.filter(pk=user.pk, deletion_asked_at=None).update(
            is_active=False,
            deletion_asked_at=timezone.now(),
            session_epoch=new_epoch(),
        )
        if marked:
            audit.record(actor=actor, action="user.delete", subject=user, reason=reason)
        transaction.on_commit(_ring_for_deletions)


def finish_deletions() -> int:
    """Erases everybody who is marked for it; who can't be erased now is tried again at the next
    tick. Returns how many are gone."""
    marked = User.objects.filter(deletion_asked_at__isnull=False).order_by("deletion_asked_at")
    return sum(_erase_person(user) for user in list(marked))


def end_work_of_the_suspended() -> int:
    """Cancels what is queued or running for suspended accounts: a request that was on its way
    when somebody suspended them, or what a crash left. Returns how many images."""
    waiting = QueueShare.objects.filter(queued__gt=0, owner__is_active=False)
    running = Image.objects.filter(state=Image.State.RUNNING, owner__is_active=False)
    owners = {*waiting.values_list("owner", flat=True), *running.values_list("owner", flat=True)}
    return sum(cancel_all(owner=user) for user in User.objects.filter(pk__in=owners))


def _erase_person(user: User) -> bool:
    """True if the person is gone now; False if a request came between, or somebody who
    erases beside us was faster."""
    cancel_all(owner=user)
    erase_images(owner=user)
    try:
        return _erase_row(user)
    except Conflict as error:
        logger.warning("the deletion of user %d is put off: %s", user.pk, error)
        return False


@transaction.atomic
def _erase_row(user: User) -> bool:
    # First the account, as whoever submits: their commit needs the user's row, which is locked
    # second. While that is ours nobody can make an image that points at it.
    ledger.close_account(user=user)
    row = User.objects.select_for_update().filter(pk=user.pk).first()
    if row is None:
        return False
    if Image.objects.filter(owner=row).exists():
        raise Conflict(UNFINISHED)
    row.delete()
    return True


def _keep_an_administrator(*, but: User) -> None:
    """Raises Conflict if nobody else could open the admin site as a superuser. Locks them
    all, so that two administrators cannot suspend each other."""
    administrators = User.objects.filter(is_superuser=True, is_active=True)
    ids = list(administrators.select_for_update().order_by("pk").values_list("pk", flat=True))
    if ids == [but.pk]:
        raise Conflict(
            _("This is the last administrator. Make another user an administrator first.")
        )


def read_reason(reason: str) -> str:
    """The reason without blanks around it. Raises InvalidInput if it is empty or too long."""
    check_text(reason, field="reason", most=MAX_REASON_LENGTH)
    return reason.strip()


def _ring_for_deletions() -> None:
    """Has it done soon; if the broker is away the next minute's tick does it."""
    herald.send_task(FINISH_DELETIONS, what="a deletion, which the next tick does,")
