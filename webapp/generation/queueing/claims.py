"""How workers take images: the fairest owner first, and under a lease that has to be renewed.

The database's clock alone says when a lease ends. No worker's clock takes part. A lease that a
worker ends is one UPDATE, and the look that follows if that found nothing
(docs/decisions/outcome-unknown.md).
"""

import enum
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import (
    BigIntegerField,
    Case,
    DurationField,
    ExpressionWrapper,
    F,
    PositiveSmallIntegerField,
    QuerySet,
    When,
)
from django.db.models.expressions import Combinable, CombinedExpression, RawSQL
from django.db.models.functions import Now

from webapp.catalog.loras import Worn, worn_by
from webapp.catalog.models import DiffusionModel
from webapp.generation import events
from webapp.generation.models import REQUEST_ID, TRACE, Image, QueueShare
from webapp.generation.queueing import queue
from webapp.generation.request.spec import GenerationSpec, drawn_spec

# Lost so often before a drawing of it was seen to begin, an image counts as a suspect, too.
BLIND_LOSSES = 4

# Of each model the first shares in the order of its index, whatever else waits: many users have the
# same served cost, and with several models in one condition all that wait would be sorted. As many
# as workers may claim at once, each of whom holds one.
FIRST_OF_EACH_SQL = """
SELECT first.id FROM catalog_diffusionmodel AS model CROSS JOIN LATERAL (
    SELECT share.id FROM generation_queueshare AS share
    WHERE share.model_id = model.id AND share.queued > 0
        AND share.owner_id <> ALL(%s) AND share.id <> ALL(%s)
    ORDER BY share.served_cost, share.id LIMIT 64
) AS first WHERE model.slug = ANY(%s)
"""

Leases = Mapping[uuid.UUID, uuid.UUID]  # image id -> lease token


@dataclass(frozen=True, slots=True)
class Claim:
    """One image that is this worker's to draw, until the lease ends. `asked` is what the model is
    asked for: the words of its style are in its prompts, and its seed is this image's. `loras` are
    those that its prompt names. Files are
    names in the media storage, "" if its mode brings none. `attempt` is the number of this
    drawing, once it begins. One that is `alone` may be what stops workers: nothing else is drawn
    beside it. `request_id` is what the log of the page calls the request, and `trace`
    the span that it was in; "" if there is none."""

    image_id: uuid.UUID
    generation_id: uuid.UUID
    owner_id: int
    lease_token: uuid.UUID
    attempt: int
    alone: bool
    waited_s: float
    model: DiffusionModel
    asked: GenerationSpec
    loras: tuple[Worn, ...]
    start_file: str
    mask_file: str
    request_id: str
    trace: str


def lease_end() -> CombinedExpression:
    """When a lease that is given or renewed now ends, by the database's clock."""
    return Now() + timedelta(seconds=settings.LEASE_S)


def claim_next(
    *, models: Sequence[str], worker: str, but_not_of: Collection[int] = ()
) -> Claim | None:
    """The next image of the least served owner among these model slugs, now running and leased;
    owners whose ids are in `but_not_of` are passed over.

    None if nothing is queued, or if other workers hold all that is.
    """
    passed_over: list[int] = []
    while True:
        with transaction.atomic():
            # Another worker's claim holds a share for milliseconds only: pass it over if there is
            # another one, wait for it if it is the last. A claim that found nothing because others
            # were claiming would leave images waiting until the next bell.
            shares = fairest_shares(models, but_not_of=but_not_of, passed_over=passed_over)
            share = _lock_fairest_share(shares) or _wait_for_fairest_share(shares)
            if share is None:
                return None
            image = _lock_oldest_image(share)
            if image is not None:
                return _lease(image, share=share, worker=worker)
        # Its images are all locked, by whoever cancels them: they hold the image and wait for this
        # share, so waiting for the image here would be a deadlock. Let the share go, try another.
        passed_over.append(share.pk)


def renew(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> bool:
    """True if the lease was this token's and now ends later; False if it is lost."""
    return not renew_all(leases={image_id: lease_token})


def renew_all(*, leases: Leases) -> set[uuid.UUID]:
    """Lets these leases end later, in one statement. Returns the ids of the images that are no
    longer this worker's.

    A row that somebody holds just now is not waited for, as the other leases would end meanwhile:
    it is renewed the next time.
    """
    ours = _held(leases)
    with transaction.atomic():
        free = ours.select_for_update(skip_locked=True).order_by("pk")
        ids = list(free.values_list("pk", flat=True))
        Image.objects.filter(pk__in=ids).update(lease_until=lease_end())
    if len(ids) == len(leases):
        return set()
    return set(leases) - set(ours.values_list("pk", flat=True))


def begin_drawings(*, leases: Leases) -> None:
    """Counts an attempt for each image whose drawing begins now; once for each lease, however
    often it is said."""
    _held(leases).filter(drawing_since=None).update(attempt=F("attempt") + 1, drawing_since=Now())


def _held(leases: Leases) -> QuerySet[Image]:
    return Image.objects.filter(
        pk__in=list(leases), lease_token__in=list(leases.values()), state=Image.State.RUNNING
    )


def is_suspect(image: Image) -> bool:
    """Whether this image may be what stops the workers that draw it."""
    return image.attempt >= settings.MAX_ATTEMPTS - 1 or image.lost_leases >= BLIND_LOSSES


def fairest_shares(
    models: Sequence[str], *, but_not_of: Collection[int], passed_over: Sequence[int]
) -> QuerySet[QueueShare]:
    """The first that wait, over these models, the fairest first."""
    facts = (list(but_not_of), list(passed_over), list(models))
    first = RawSQL(FIRST_OF_EACH_SQL, facts, output_field=BigIntegerField())  # noqa: S611 - constant
    waiting = QueueShare.objects.filter(pk__in=first, queued__gt=0)
    return waiting.order_by("served_cost", "pk")


def _lock_fairest_share(shares: QuerySet[QueueShare]) -> QueueShare | None:
    return shares.select_for_update(skip_locked=True, of=("self",)).first()


def _wait_for_fairest_share(shares: QuerySet[QueueShare]) -> QueueShare | None:
    """Waits for one row only: a waiting ORDER BY ... LIMIT 1 keeps the lock of a row that no
    longer qualifies while it waits for the next, and two of those can block each other."""
    fairest = shares.values_list("pk", flat=True).first()
    if fairest is None:
        return None
    return QueueShare.objects.select_for_update().filter(pk=fairest).first()


def _lock_oldest_image(share: QueueShare) -> Image | None:
    return (
        Image.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(owner_id=share.owner_id, model_id=share.model_id, state=Image.State.QUEUED)
        .select_related("generation__start", "generation__mask", "model")
        .annotate(waited=ExpressionWrapper(Now() - F("created_at"), DurationField()))
        .order_by("created_at", "index")
        .first()
    )


def _lease(image: Image, *, share: QueueShare, worker: str) -> Claim:
    token, generation = uuid.uuid4(), image.generation
    waited: timedelta = image.waited  # type: ignore[attr-defined]
    # The row is locked and was read as queued under that lock: this UPDATE cannot miss it.
    Image.objects.filter(pk=image.pk, state=Image.State.QUEUED).update(
        state=Image.State.RUNNING,
        lease_token=token,
        lease_until=lease_end(),
        drawing_since=None,  # a claim is no attempt: `begin_drawings` counts when drawing begins
        started_at=Now(),
        worker=worker,
    )
    # The owner pays with their turn now, not when the image is done: else one owner would be the
    # least served for as long as their first image takes. `queue.rejoin` takes it back.
    queue.serve(share=share, cost=image.cost)
    transaction.on_commit(lambda: events.publish_queue_moved())
    return Claim(
        image_id=image.pk,
        generation_id=generation.pk,
        owner_id=image.owner_id,
        lease_token=token,
        attempt=image.attempt + 1,
        alone=is_suspect(image),
        waited_s=max(0.0, waited.total_seconds()),
        model=image.model,
        asked=drawn_spec(image),
        loras=worn_by(generation.prompt),
        start_file=generation.start.file if generation.start else "",
        mask_file=generation.mask.file if generation.mask else "",
        request_id=generation.more.get(REQUEST_ID, ""),
        trace=generation.more.get(TRACE, ""),
    )


class Ending(enum.Enum):
    """What came of a worker's wish to end its lease."""

    NOW = "by this call"
    BEFORE = "by an earlier call of the same attempt, whose answer was lost"
    LOST = "not at all: the image is somebody else's, or cancelled, or gone"


def end_lease(
    image_id: uuid.UUID, lease_token: uuid.UUID, into: Image.State, **changes: Any
) -> Ending:
    """Moves the image out of `running` for whoever holds its lease. Each way out is safe to ask
    for again by a worker that never heard the answer to its commit."""
    ended = Image.objects.filter(
        pk=image_id, state=Image.State.RUNNING, lease_token=lease_token
    ).update(state=into, ended_lease=lease_token, lease_token=None, lease_until=None, **changes)
    if ended:
        return Ending.NOW
    before = Image.objects.filter(pk=image_id, ended_lease=lease_token)
    if into != Image.State.QUEUED:  # what was given back may be anybody's by now
        before = before.filter(state=into)
    return Ending.BEFORE if before.exists() else Ending.LOST


def attempt(*, begun: Combinable, not_begun: Combinable) -> Case:
    """What `attempt` becomes of a drawing that had begun, and of one that had not."""
    return Case(
        When(drawing_since__isnull=False, then=begun),
        default=not_begun,
        output_field=PositiveSmallIntegerField(),
    )
