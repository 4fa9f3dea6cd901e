"""How workers take images: the fairest owner first, and under a lease that has to be renewed."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from webapp.catalog.models import DiffusionModel
from webapp.generation import events, queue
from webapp.generation.models import Image, QueueShare
from webapp.generation.styles import apply_style


@dataclass(frozen=True, slots=True)
class Claim:
    """One image that is this worker's to draw, until the lease ends. Its prompts are what the model
    is asked for: the words of `style` are in them. Files are names in the media storage, "" where
    its `mode` brings none."""

    image_id: uuid.UUID
    generation_id: uuid.UUID
    owner_id: int
    lease_token: uuid.UUID
    attempt: int
    waited_s: float
    model: DiffusionModel
    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance_scale: float
    sampler: str
    seed: int
    exact: bool
    style: str
    mode: str
    start_file: str
    mask_file: str
    strength: float | None


def lease_end() -> datetime:
    """When a lease that is given or renewed now ends."""
    return timezone.now() + timedelta(seconds=settings.LEASE_S)


def claim_next(
    *, models: Sequence[str], worker: str, but_not_of: Collection[int] = ()
) -> Claim | None:
    """The next image of the least served owner among these model slugs, now running and leased;
    owners whose ids are in `but_not_of` are passed over.

    None where nothing is queued, or where other workers hold all that is.
    """
    waiting = QueueShare.objects.filter(model__slug__in=models, queued__gt=0)
    if but_not_of:
        waiting = waiting.exclude(owner_id__in=but_not_of)
    passed_over: list[int] = []
    while True:
        with transaction.atomic():
            # Another worker's claim holds a share for milliseconds only: pass it over where there
            # is another one, wait for it where it is the last.
            shares = waiting.exclude(pk__in=passed_over).order_by("served_cost", "pk")
            share = _lock_fairest_share(shares) or _wait_for_fairest_share(shares)
            if share is None:
                return None
            image = _lock_oldest_image(share)
            if image is not None:
                return _lease(image, share=share, worker=worker)
        passed_over.append(share.pk)


def renew(*, image_id: uuid.UUID, lease_token: uuid.UUID) -> bool:
    """True where the lease was this token's and now ends later; False where it is lost."""
    return bool(
        Image.objects.filter(
            pk=image_id, state=Image.State.RUNNING, lease_token=lease_token
        ).update(lease_until=lease_end())
    )


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
        .order_by("created_at", "index")
        .first()
    )


def _lease(image: Image, *, share: QueueShare, worker: str) -> Claim:
    token, generation = uuid.uuid4(), image.generation
    Image.objects.filter(pk=image.pk, state=Image.State.QUEUED).update(
        state=Image.State.RUNNING,
        lease_token=token,
        lease_until=lease_end(),
        attempt=F("attempt") + 1,
        started_at=timezone.now(),
        worker=worker,
    )
    queue.serve(share=share, cost=image.cost)
    transaction.on_commit(lambda: events.publish_queue_moved())
    words = apply_style(
        generation.style,
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        uses_negative_prompt=image.model.uses_negative_prompt,
    )
    return Claim(
        image_id=image.pk,
        generation_id=generation.pk,
        owner_id=image.owner_id,
        lease_token=token,
        attempt=image.attempt + 1,
        waited_s=(timezone.now() - image.created_at).total_seconds(),
        model=image.model,
        prompt=words.prompt,
        negative_prompt=words.negative_prompt,
        width_px=generation.width_px,
        height_px=generation.height_px,
        steps=generation.steps,
        guidance_scale=generation.guidance_scale,
        sampler=generation.sampler,
        seed=image.seed,
        exact=generation.exact,
        style=generation.style,
        mode=generation.mode,
        start_file=generation.start.file if generation.start else "",
        mask_file=generation.mask.file if generation.mask else "",
        strength=generation.strength,
    )
