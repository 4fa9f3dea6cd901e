"""What `manage.py check_credits --repair` may do, and no more.

It counts anew what is held, resolves holds whose image has ended (charged if it is stored,
given back otherwise), writes the line that an account's balance lacks, and refunds stored images
whose file is gone; those are failed from then on, and tell their owner why. It never touches a line
that was written. Each repair is one commit with its line in the audit log.
"""

import uuid
from collections.abc import Collection, Iterator

from django.db import IntegrityError, transaction
from django.db.models import Model

from webapp.core import audit
from webapp.core.errors import Conflict
from webapp.core.units import format_credits
from webapp.credits import ledger
from webapp.credits.models import Account, Hold
from webapp.generation.models import DiscardedFile, Image
from webapp.generation.queueing.services import lose_file
from webapp.generation.storage import has_file
from webapp.operations.audit import find_violations_of, stored_images

REASON = "check_credits --repair"
# So many files at once are lost only if the storage itself is not there.
LOST_AT_ONCE = 20


def repair_books(*, files: bool = False) -> Iterator[str]:
    """Mends what may be mended; one sentence for each thing that was done or had to be left. With
    `files` every stored image is looked for in the storage; if one can't be, none is refunded."""
    for violation in list(find_violations_of(code="held")):
        yield _recount_held(violation.facts[0])
    for image_id in _list_ended():
        if told := _resolve_hold(image_id):
            yield told
    for violation in list(find_violations_of(code="posted")):
        yield _post_difference(violation.facts[0])
    if files:
        yield from _refund_lost_files()


def refund_lost(*, files: Collection[str]) -> Iterator[str]:
    """Refunds the stored images that were in these files, which are known to be gone; one sentence
    for each."""
    for image in Image.objects.filter(state=Image.State.STORED, file__in=files).order_by("pk"):
        if told := _refund_lost_file(image):
            yield told


def _refund_lost_files() -> Iterator[str]:
    stored, lost = 0, []
    try:
        for image in stored_images():
            stored += 1
            if not has_file(image.file):
                lost.append(image)
    except OSError as error:
        yield f"left alone: whether files are lost could not be seen: {error}"
        return
    if len(lost) > LOST_AT_ONCE and 2 * len(lost) > stored:
        yield (
            f"left alone: the files of {len(lost)} of {stored} stored images are not there."
            " Is the storage the right one, and mounted?"
        )
        return
    for image in lost:
        if told := _refund_lost_file(image):
            yield told


@transaction.atomic
def _refund_lost_file(image: Image) -> str:
    """What was done; "" if somebody deleted the image meanwhile."""
    if not lose_file(image_id=image.pk, file=image.file):
        return ""
    DiscardedFile.discard((image.thumbnail, image.strip))
    _record(image, before={"file": image.file}, after={"failure_code": "file_lost"})
    try:
        given = ledger.refund_image(
            image_id=image.pk, actor=None, by="check_credits", reason=REASON
        )
    except Conflict:  # it was free, or refunded before
        return f"image {image.pk}: its file is gone, it is failed now; nothing was to be refunded"
    refunded = next(one for one in given.entries.all() if one.balance_after_ucr is not None)
    amount = format_credits(refunded.amount_ucr)
    return f"image {image.pk}: its file is gone, it is failed now; {amount} were refunded"


def _list_ended() -> list[uuid.UUID]:
    """The images with an open hold that nobody will resolve: they have ended, or are gone."""
    live = Image.objects.filter(state__in=Image.LIVE)
    ended = Hold.objects.filter(state=Hold.State.HELD).exclude(image_id__in=live.values("pk"))
    return list(ended.order_by("pk").values_list("image_id", flat=True))


@transaction.atomic
def _recount_held(account_id: int) -> str:
    before = Account.objects.select_for_update().get(pk=account_id)
    if not ledger.recount_held(account_id=account_id):
        return f"account {account_id}: left alone, its open holds are more than it has"
    after = Account.objects.get(pk=account_id)
    _record(before, before={"held_ucr": before.held_ucr}, after={"held_ucr": after.held_ucr})
    return f"account {account_id}: held was counted anew, {format_credits(after.held_ucr)}"


def _resolve_hold(image_id: uuid.UUID) -> str:
    """What became of the hold; "" if somebody else resolved it meanwhile."""
    try:
        return _resolve_ended(image_id)
    except IntegrityError:
        return f"image {image_id}: left alone, its account holds less than its hold says"


@transaction.atomic
def _resolve_ended(image_id: uuid.UUID) -> str:
    image = Image.objects.select_for_update().filter(pk=image_id).first()
    is_stored = image is not None and image.state == Image.State.STORED
    resolve = ledger.capture if is_stored else ledger.release
    if not resolve(image_id=image_id):
        return ""
    hold = Hold.objects.get(image_id=image_id)
    _record(hold, before={"state": Hold.State.HELD.value}, after={"state": hold.state})
    return f"image {image_id}: its hold is {hold.state}"


@transaction.atomic
def _post_difference(account_id: int) -> str:
    missing_ucr = ledger.post_difference(account_id=account_id)
    account = Account.objects.get(pk=account_id)
    _record(account, before={}, after={"entry_ucr": missing_ucr})
    return f"account {account_id}: a line of {format_credits(missing_ucr)} was added"


def _record(subject: Model, *, before: dict[str, object], after: dict[str, object]) -> None:
    audit.record(
        actor=None,
        action="credits.repair",
        subject=subject,
        reason=REASON,
        before=before,
        after=after,
    )
