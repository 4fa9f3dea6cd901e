"""Everything that changes a generation or an image. Each function is one short transaction.

Doors (views, tasks, commands) call these and nothing else; no file, GPU or network work happens
inside a transaction. Locks: upload, image, hold, account, entry, queue share.
"""

import logging
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog import services as catalog
from webapp.catalog.loras import check_loras
from webapp.catalog.models import DiffusionModel
from webapp.catalog.pricing import Quote, quote_image
from webapp.core.errors import Conflict, DarkroomError, NotFound, TooMany
from webapp.core.idempotency import check_key
from webapp.core.notices import tell_admins, withdraw_all
from webapp.core.round_trips import sent_together
from webapp.core.tracing import current_span
from webapp.core.trail import current_trail
from webapp.core.units import format_credits
from webapp.credits import ledger
from webapp.credits.selectors import Balance
from webapp.generation import events
from webapp.generation.failures import BY_CODE
from webapp.generation.models import REQUEST_ID, TRACE, DiscardedFile, Generation, Image
from webapp.generation.queueing import doorbell, queue
from webapp.generation.queueing.claims import Claim, Ending, attempt, end_lease
from webapp.generation.queueing.limits import check_group_limits
from webapp.generation.request.checks import check_spec, hold_images
from webapp.generation.request.spec import SEEDS, GenerationSpec, stored_values
from webapp.generation.storage import StoredFile, file_names

logger = logging.getLogger(__name__)

# A queued image: nobody draws it.
NOT_STARTED: dict[str, Any] = {"started_at": None, "drawing_since": None, "worker": ""}


@dataclass(frozen=True, slots=True)
class DrawingReport:
    """What a worker tells about a finished image, beside its files."""

    timings_s: Mapping[str, float]
    fingerprint: Mapping[str, str]
    batch: Mapping[str, float] = field(default_factory=dict)


def submit_generation(
    *,
    owner: User,
    model: DiffusionModel,
    spec: GenerationSpec,
    idempotency_key: str,
    quoted_each_ucr: int | None = None,
) -> Generation:
    """The queued generation: quote, rows and holds are one commit, then the doorbell rings.

    The price is the one in force now; it is stored, and never reckoned again. `quoted_each_ucr`
    is what the owner was shown for one image, if they were shown a price.

    The same key with the same body answers with the generation that it made the first time (a
    double click is one generation); with another body it raises Conflict, and also if the
    price is another by now. Raises InvalidInput for a spec that the model can't draw, LoRAs that
    are not on offer for it, images that are not the owner's or a group without a price,
    NotEnoughCredits, and TooMany if the owner has more queued than `DARKROOM_QUEUE_LIMIT` allows or
    the group's limits are reached. Whatever
    it raises, nothing was changed.
    """
    check_spec(spec, model=model)
    check_loras(spec.prompt, spec.negative_prompt, model=model, user=owner)
    check_key(idempotency_key)
    digest = spec.digest(model_slug=model.slug)
    try:
        quote = _quote(owner, model, spec, quoted_each_ucr)
        return _create_generation(owner, model, spec, idempotency_key, digest, quote)
    except (IntegrityError, DarkroomError):
        # The key may be taken: this is the other click of a double click, or a form sent again,
        # which is answered as the first time whatever the price is by now.
        earlier = _find_earlier(owner, idempotency_key, digest)
        if earlier is None:
            raise
        return earlier


def store_image(
    *, image_id: uuid.UUID, lease_token: uuid.UUID, file: StoredFile, rendering: DrawingReport
) -> bool:
    """The charge and the image's appearance in the gallery, in one commit.

    True if this attempt's file is what is stored, by this call or by an earlier one whose
    answer was lost. False if the lease is somebody else's or the image was cancelled: the
    caller deletes its own file and leaves.
    """
    with transaction.atomic():
        ending = end_lease(
            image_id,
            lease_token,
            Image.State.STORED,
            file=file.name,
            thumbnail=file.thumbnail,
            strip=file.strip,
            strip_steps=list(file.strip_steps),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            timings_s=dict(rendering.timings_s),
            fingerprint=dict(rendering.fingerprint),
            batch=dict(rendering.batch),
            finished_at=Now(),
            # One drawn faster than its beginning was written down counts all the same.
            attempt=attempt(begun=F("attempt"), not_begun=F("attempt") + 1),
        )
        if ending is Ending.NOW:
            ledger.capture(image_id=image_id)
    return _told(ending, image_id)


def fail_image(*, image_id: uuid.UUID, lease_token: uuid.UUID, code: str, sentence: str) -> bool:
    """Fails this lease's image and gives its credits back; files of the attempt are swept. True
    if this attempt failed it, now or before. False if the lease is lost."""
    with transaction.atomic():
        ending = end_lease(
            image_id,
            lease_token,
            Image.State.FAILED,
            failure_code=code,
            failure=sentence,
            finished_at=Now(),
        )
        if ending is Ending.NOW:
            ledger.release(image_id=image_id)
            DiscardedFile.discard(file_names(image_id=image_id, lease_token=lease_token))
    return _told(ending, image_id)


def give_back_image(*, claim: Claim) -> bool:
    """Returns an image that this worker will not draw (it is shutting down) to the queue,
    without counting the attempt. True if this attempt gave it back, now or before. False if the
    lease is lost."""
    with transaction.atomic():
        ending = end_lease(
            claim.image_id,
            claim.lease_token,
            Image.State.QUEUED,
            attempt=attempt(begun=F("attempt") - 1, not_begun=F("attempt")),
            **NOT_STARTED,
        )
        if ending is Ending.NOW:
            rejoin_queue(claim.image_id)
    return ending is not Ending.LOST


def cancel_generation(*, owner: User, generation_id: uuid.UUID) -> int:
    """Cancels what is still queued or running of the owner's generation, and gives the credits
    back. Returns how many images it cancelled (0 if all had ended). Raises NotFound for a
    generation that is not there or not theirs."""
    generation = Generation.objects.filter(owner=owner, pk=generation_id).first()
    if generation is None:
        raise NotFound
    live = generation.images.filter(state__in=Image.LIVE).order_by("index")
    return sum(cancel_image(owner=owner, image_id=pk) for pk in live.values_list("pk", flat=True))


def cancel_image(*, owner: User, image_id: uuid.UUID) -> bool:
    """Cancels one queued or running image. False if it had ended: the race was lost, and
    nothing changed. Raises NotFound for an image that is not there or not theirs."""
    with transaction.atomic():
        image = Image.objects.select_for_update().filter(owner=owner, pk=image_id).first()
        if image is None:
            raise NotFound
        cancelled = Image.objects.filter(pk=image_id, state__in=Image.LIVE).update(
            **ended(Image.State.CANCELLED)
        )
        if cancelled:
            ledger.release(image_id=image_id)
            discard_attempt(image)
            if image.state == Image.State.QUEUED:
                queue.leave(owner_id=image.owner_id, model_id=image.model_id)
            transaction.on_commit(lambda: _announce_cancelled(image_id))
    return bool(cancelled)


def delete_image(*, owner: User, image_id: uuid.UUID) -> None:
    """Removes a finished, failed or cancelled image of the owner; its files go with the next
    sweep, its lines in the ledger stay. Raises NotFound, or Conflict while it is generated."""
    with transaction.atomic():
        image = Image.objects.select_for_update().filter(owner=owner, pk=image_id).first()
        if image is None:
            raise NotFound
        if image.state in Image.LIVE:
            raise Conflict(_("This image is still being generated. Cancel it first."))
        DiscardedFile.discard((image.file, image.thumbnail, image.strip))
        generation = image.generation
        image.delete()
        if not generation.images.exists():
            generation.delete()


def lose_file(*, image_id: uuid.UUID, file: str) -> bool:
    """A stored image whose file is gone is failed, and says so to its owner; whoever calls gives
    back what it cost, in the same transaction. False if it is not stored in that file."""
    return bool(
        Image.objects.filter(pk=image_id, state=Image.State.STORED, file=file).update(
            state=Image.State.FAILED,
            failure_code="file_lost",
            failure=str(BY_CODE["file_lost"]),
            file="",
            thumbnail="",
            strip="",
            strip_steps=[],
            is_favourite=False,
            binned_at=None,
        )
    )


def report_problem(*, model: DiffusionModel, code: str, sentence: str, detail: str) -> None:
    """Tells the admins what a worker could not do with a model."""
    catalog.report_problem(slug=model.slug, problem=f"{sentence} {detail}".strip())
    tell_admins(
        code=f"model:{code}:{model.slug}", sentence=f"{model.name}: {sentence}", detail=detail
    )


def withdraw_problem(*, model: DiffusionModel) -> None:
    """Takes the problem of a model back: a worker has just drawn with it."""
    catalog.clear_problem(slug=model.slug)
    withdraw_all(kind="model", about=model.slug)


def _told(ending: Ending, image_id: uuid.UUID) -> bool:
    """Whether the image ended so by this attempt. Its owner's pages hear of it again if the
    first answer was lost: what was to be told on that commit was lost with it."""
    if ending is not Ending.LOST:
        transaction.on_commit(lambda: events.publish_image(image_id))
    return ending is not Ending.LOST


def _quote(
    owner: User, model: DiffusionModel, spec: GenerationSpec, shown_ucr: int | None
) -> Quote:
    quote = quote_image(
        user=owner,
        model=model,
        width_px=spec.width_px,
        height_px=spec.height_px,
        steps=spec.steps,
    )
    if shown_ucr is not None and shown_ucr != quote.price_each_ucr:
        sentence = _(
            "The price of one image changed from %(shown)s to %(now)s credits. Nothing was queued."
        )
        prices = {
            "shown": format_credits(shown_ucr),
            "now": format_credits(quote.price_each_ucr),
        }
        raise Conflict(sentence % prices)
    return quote


def _create_generation(
    owner: User, model: DiffusionModel, spec: GenerationSpec, key: str, digest: str, quote: Quote
) -> Generation:
    with transaction.atomic():
        hold_images(owner=owner, model=model, spec=spec)
        with sent_together():
            generation = _write_rows(owner, model, spec, key, digest, quote)
            balance = ledger.hold_for_images(
                user=owner,
                amounts_ucr={one.pk: quote.price_each_ucr for one in generation.just_queued},
            )
        check_group_limits(owner=owner, images=spec.count, each_ucr=quote.price_each_ucr)
        _check_queue_limit(queue.join(owner_id=owner.pk, model_id=model.pk, images=spec.count))
        transaction.on_commit(lambda: _announce_queued(owner, model, spec.count, balance))
    logger.info("generation %s: %d images are queued", generation.pk, spec.count)
    return generation


def _write_rows(
    owner: User, model: DiffusionModel, spec: GenerationSpec, key: str, digest: str, quote: Quote
) -> Generation:
    """The generation, with its images as `just_queued`."""
    seed = secrets.randbelow(SEEDS) if spec.seed is None else spec.seed
    generation = Generation.objects.create(
        **_named(stored_values(replace(spec, seed=seed))),
        owner=owner,
        model=model,
        price_each_ucr=quote.price_each_ucr,
        price_list_id=quote.price_list_id,
        price_terms=quote.terms,
        idempotency_key=key,
        spec_hash=digest,
    )
    generation.just_queued = Image.objects.bulk_create(
        Image(
            generation=generation,
            owner=owner,
            model=model,
            index=index,
            seed=(seed + index) % SEEDS,
            cost=spec.width_px * spec.height_px * spec.steps,
        )
        for index in range(spec.count)
    )
    return generation


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """The columns, with the id and the span of the request that asks, if there are any: the
    worker's log and trace carry them on."""
    asked_by = {REQUEST_ID: current_trail().request_id, TRACE: current_span()}
    known = {name: value for name, value in asked_by.items() if value}
    return values | {"more": values["more"] | known}


def _check_queue_limit(queued: int) -> None:
    if queued > settings.QUEUE_LIMIT_PER_USER:
        raise TooMany(
            _("At most %(most)d images can be in the queue at once. Wait for some to finish.")
            % {"most": settings.QUEUE_LIMIT_PER_USER}
        )


def _find_earlier(owner: User, key: str, digest: str) -> Generation | None:
    earlier = Generation.objects.filter(owner=owner, idempotency_key=key).first()
    if earlier is not None and earlier.spec_hash != digest:
        raise Conflict(_("This form was already sent with other settings. Send it again."))
    return earlier


def _announce_queued(owner: User, model: DiffusionModel, images: int, balance: Balance) -> None:
    doorbell.ring(model_slug=model.slug, images=images)
    events.publish_balance(owner.pk, balance)
    events.publish_queue_moved()


def _announce_cancelled(image_id: uuid.UUID) -> None:
    events.flag_cancelled(image_id)
    events.publish_image(image_id)
    events.publish_queue_moved()


def ended(state: Image.State) -> dict[str, Any]:
    """What an image that ends without being stored is changed to."""
    return {
        "state": state,
        "lease_token": None,
        "lease_until": None,
        "finished_at": Now(),
    }


def rejoin_queue(image_id: uuid.UUID) -> None:
    """Counts a returned image as queued again, and wakes workers on commit."""
    image = Image.objects.select_related("model").get(pk=image_id)
    queue.rejoin(owner_id=image.owner_id, model_id=image.model_id, cost=image.cost)
    slug = image.model.slug
    transaction.on_commit(lambda: doorbell.ring(model_slug=slug))
    transaction.on_commit(lambda: events.publish_queue_moved())


def discard_attempt(image: Image) -> None:
    """A file of this attempt may lie there: its worker was killed between file and commit."""
    if image.lease_token is not None:
        DiscardedFile.discard(file_names(image_id=image.pk, lease_token=image.lease_token))
