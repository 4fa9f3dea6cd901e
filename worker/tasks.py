"""The only bridge between Django/Celery and the engine.

A doorbell wakes `Desk.answer`, which draws until nothing is queued. Celery's messages carry
nothing worth keeping: what to draw, and whether it is still ours, stands in the database.
"""

import base64
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from typing import Any, TypeVar

import redis
from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from webapp import __version__
from webapp.catalog.samplers import SAMPLER_NAMES
from webapp.generation import claims, events, heartbeat, services
from webapp.generation.claims import Claim
from webapp.generation.services import Rendering
from webapp.generation.storage import StoredFile, delete_files, file_names, write_image_files
from worker.config import EngineConfig
from worker.engine.engine import Engine, EngineSnapshot
from worker.engine.errors import (
    Cancelled,
    EngineError,
    EngineStopped,
    InvalidRequest,
    ModelUnavailable,
    OutOfMemory,
)
from worker.engine.request import ImageRequest, ModelSource, Progress, RenderedImage
from worker.finishing.encode import FinishedImage, finish
from worker.finishing.parameters import Parameters, write_parameters
from worker.finishing.strip import FinishedStrip, Strip

logger = logging.getLogger(__name__)

DRAIN_S = 30.0
RENEW_SHARE = 4  # a lease is renewed four times in its length
STALLED_S = 900.0  # loading a large model from a slow disk is one long silence
RETRY_S = 0.5
ROOM_CHECK_S = 1.0
LEAST_ROOM = 2  # images
RESERVED_SHARE = 4  # one place in four is for people who have nothing here
Answer = TypeVar("Answer")

FAILURE_CODES: dict[type[EngineError], str] = {
    InvalidRequest: "invalid_request",
    ModelUnavailable: "model_unavailable",
    OutOfMemory: "out_of_memory",
}


@shared_task(name="worker.tasks.answer_doorbell")
def answer_doorbell() -> None:
    """Somebody rang: draw until nothing is queued, or return at once where another bell is being
    answered."""
    desk().answer()


class Desk:
    """Claims images, has the engine draw them, and hands them in.

    One thread claims, and each claimed image has a thread that waits for it. So many are claimed
    as the engine can draw at once and as many more, so that its calls stay full, but no more:
    what is claimed here, another worker can't draw. A share of the room is kept for people who
    have nothing here, so that nobody's pile keeps another's image out of the engine.
    """

    def __init__(self, engine: Engine, *, name: str, slots: int) -> None:
        self.engine = engine
        self.name = name
        self.slots = slots
        self.pool = ThreadPoolExecutor(slots, thread_name_prefix="drawing")
        self.dispatching = threading.Lock()
        self.changed = threading.Condition()
        self.bell = False  # something may have been queued, or room been made
        self.drawing: dict[uuid.UUID, int] = {}  # image id -> owner id
        self.draining = threading.Event()

    def answer(self) -> None:
        """Draws until nothing is queued and nothing is being drawn. A bell that finds another
        one being answered is remembered: it may have rung for a row that was committed after the
        other last looked."""
        self.ring()
        while self.bell and self.dispatching.acquire(blocking=False):
            try:
                self.dispatch()
            finally:
                self.dispatching.release()

    def ring(self) -> None:
        """Wakes whoever claims."""
        with self.changed:
            self.bell = True
            self.changed.notify_all()

    def dispatch(self) -> None:
        """Claims whenever there is room, until a bell finds nothing and no drawing is left."""
        while True:
            with self.changed:
                self.bell = False
            while not self.draining.is_set() and self.has_room() and self.start_next():
                pass
            with self.changed:
                # The engine learns on its own that more rows pay, and rings no bell then.
                patience_s = None if self.has_room() else ROOM_CHECK_S
                self.changed.wait_for(lambda: self.bell or not self.drawing, timeout=patience_s)
                if not self.drawing and not self.bell:
                    return

    def has_room(self) -> bool:
        """True where one more image would soon be drawn."""
        return len(self.drawing) < self.room()

    def room(self) -> int:
        """Images to hold: as many as one call has rows for, which is about twice as many as it
        draws, since guidance takes two rows an image."""
        return min(self.slots, max(LEAST_ROOM, self.engine.row_cap))

    def start_next(self) -> bool:
        """Claims one image and has it drawn. False where none is queued that may come in."""
        close_old_connections()
        claim = claims.claim_next(
            models=heartbeat.served_models(), worker=self.name, but_not_of=self.owners_kept_out()
        )
        if claim is None:
            return False
        with self.changed:
            self.drawing[claim.image_id] = claim.owner_id
        self.pool.submit(self.draw, claim)
        return True

    def owners_kept_out(self) -> set[int]:
        """Who may have no further image here: where the room left is what is kept for others,
        everybody who has one."""
        room = self.room()
        with self.changed:
            is_reserved = len(self.drawing) >= room - room // RESERVED_SHARE
            return set(self.drawing.values()) if is_reserved else set()

    def draw(self, claim: Claim) -> None:
        """Draws one image, and makes room for the next."""
        try:
            Drawing(self.engine, claim).run()
        except Exception as error:  # the thread's edge: one image must not end the others
            logger.exception("image %s failed unexpectedly", claim.image_id)
            unexpected = EngineError(detail=f"{type(error).__name__}: {error}")
            patiently(lambda: report_failure(claim, unexpected))
        finally:
            with self.changed:
                del self.drawing[claim.image_id]
            self.ring()
            close_old_connections()

    def drain(self) -> None:
        """Nearly finished images finish, the others give their lease back."""
        self.draining.set()
        self.engine.drain(timeout_s=DRAIN_S)


class Drawing:
    """One claimed image, from the engine to the gallery."""

    def __init__(self, engine: Engine, claim: Claim) -> None:
        self.engine = engine
        self.claim = claim
        self.news: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self.strip = Strip()
        self.renewed_at = time.monotonic()

    def run(self) -> None:
        """Draws, finishes and hands in; whatever fails ends in one of the states that are left."""
        try:
            rendered = self.render()
        except Cancelled:
            logger.info("image %s was cancelled or its lease was lost", self.claim.image_id)
        except EngineStopped:
            patiently(lambda: services.give_back_image(claim=self.claim))
        except EngineError as error:
            failure = error
            patiently(lambda: report_failure(self.claim, failure))
        else:
            self.hand_in(rendered)

    def render(self) -> RenderedImage:
        """The picture; raises EngineError. Progress is told and the lease renewed meanwhile."""
        future = self.engine.submit(image_request(self.claim), on_progress=self.hear)
        future.add_done_callback(lambda _future: self.news.put(None))
        renew_every_s = settings.LEASE_S / RENEW_SHARE
        is_over = False
        while not is_over:
            latest, is_over = self.wait_for_news(renew_every_s)
            if latest is not None:
                self.tell(latest)
            if time.monotonic() - self.renewed_at >= renew_every_s:
                self.renew(future)
        return future.result()

    def hear(self, progress: Progress) -> None:
        """In the engine's threads: every preview is kept, even of news that come in a burst."""
        self.strip.keep(progress)
        self.news.put(progress)

    def wait_for_news(self, timeout_s: float) -> tuple[Progress | None, bool]:
        """The newest progress, with the preview of an earlier one where it has none itself, and
        whether the engine is done with the image. (None, False) on timeout."""
        latest = None
        try:
            news = self.news.get(timeout=timeout_s)
            while news is not None:
                latest = newer(latest, news)
                news = self.news.get_nowait()
        except queue.Empty:
            return latest, False
        return latest, True

    def tell(self, progress: Progress) -> None:
        """Sends progress to the owner's pages, and sees a cancellation on the way."""
        event: dict[str, Any] = {
            "id": str(self.claim.image_id),
            "generation": str(self.claim.generation_id),
            "stage": progress.stage,
            "step": progress.step,
            "steps": progress.steps,
        }
        if progress.preview:
            encoded = base64.b64encode(progress.preview).decode()
            event["preview"] = f"data:image/webp;base64,{encoded}"
        try:
            cancelled = events.publish_progress(user_id=self.claim.owner_id, event=event)
        except redis.RedisError as error:
            logger.warning("progress was not sent: %s", error)
            return
        if cancelled:
            self.engine.cancel(str(self.claim.image_id))

    def renew(self, future: Future[RenderedImage]) -> None:
        """Renews the lease; an engine that hangs, or a lease that is lost, ends the drawing."""
        self.renewed_at = time.monotonic()
        if self.engine.stalled_s() > STALLED_S:
            logger.error("the engine has not moved for %.0f s", STALLED_S)
            self.engine.cancel(str(self.claim.image_id))
            return
        try:
            close_old_connections()
            ours = claims.renew(image_id=self.claim.image_id, lease_token=self.claim.lease_token)
        except (OperationalError, InterfaceError) as error:
            logger.warning("the lease could not be renewed yet: %s", error)
            return
        if not ours and not future.done():
            self.engine.cancel(str(self.claim.image_id))

    def hand_in(self, rendered: RenderedImage) -> None:
        """Writes the files, then commits charge and picture; a lost lease deletes its own files."""
        if rendered.blacked_out:
            patiently(lambda: report_failure(self.claim, Withheld()))
            return
        started = time.monotonic()
        finished = finish(rendered, parameters=parameters_text(self.claim))
        try:
            file = self.write(finished, self.strip.finish(rendered))
        except OSError as error:
            failure = StorageFailed(detail=str(error))
            patiently(lambda: report_failure(self.claim, failure))
            return
        rendering = Rendering(
            timings_s=timings_of(self.claim, rendered, finish_s=time.monotonic() - started),
            fingerprint=rendered.fingerprint,
            batch={"rows_mean": round(rendered.rows.mean, 2), "rows_most": rendered.rows.most},
        )
        stored = patiently(
            lambda: services.store_image(
                image_id=self.claim.image_id,
                lease_token=self.claim.lease_token,
                file=file,
                rendering=rendering,
            )
        )
        if not stored:
            delete_files(
                *file_names(image_id=self.claim.image_id, lease_token=self.claim.lease_token)
            )
        elif self.claim.model.problem:
            services.withdraw_problem(model=self.claim.model)

    def write(self, finished: FinishedImage, strip: FinishedStrip | None) -> StoredFile:
        """The files, on the disk; raises OSError with nothing left behind."""
        return write_image_files(
            image_id=self.claim.image_id,
            lease_token=self.claim.lease_token,
            png=finished.png,
            thumbnail_webp=finished.thumbnail_webp,
            strip_webp=strip.webp if strip else b"",
            strip_steps=strip.steps if strip else (),
        )


def newer(before: Progress | None, now: Progress) -> Progress:
    """`now`, which still shows the preview that `before` brought."""
    if before is None or now.preview or not before.preview or now.stage != before.stage:
        return now
    return replace(now, preview=before.preview, preview_step=before.preview_step)


class StorageFailed(EngineError):
    """The picture was drawn but could not be kept."""

    default_sentence = "The picture could not be saved: the studio's storage is full or away."


class Withheld(EngineError):
    """The model's own safety checker replaced the picture."""

    default_sentence = "The model's safety checker withheld this picture."


def report_failure(claim: Claim, error: EngineError) -> None:
    """Fails the image with the error's sentence, gives the credits back, tells the admins."""
    code = FAILURE_CODES.get(type(error), type(error).__name__.lower())
    services.fail_image(
        image_id=claim.image_id,
        lease_token=claim.lease_token,
        code=code,
        sentence=error.sentence,
    )
    if not isinstance(error, Withheld | InvalidRequest | OutOfMemory):
        services.report_problem(
            model=claim.model, code=code, sentence=error.sentence, detail=error.detail
        )


def patiently(action: Callable[[], Answer]) -> Answer:
    """The action's answer, tried again while the database is away, for one lease at most.

    After that the lease belongs to somebody else anyway; raises the last error then.
    """
    deadline = time.monotonic() + settings.LEASE_S
    while True:
        try:
            close_old_connections()
            return action()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("the database is away, trying again: %s", error)
            time.sleep(RETRY_S)


def image_request(claim: Claim) -> ImageRequest:
    """What the engine is asked for."""
    model = claim.model
    return ImageRequest(
        request_id=str(claim.image_id),
        owner_id=str(claim.owner_id),
        model=ModelSource(
            slug=model.slug,
            family=model.family,
            kind="file" if model.source == model.Source.FILE else "folder",
            location=model.path,
        ),
        prompt=claim.prompt,
        negative_prompt=claim.negative_prompt,
        width_px=claim.width_px,
        height_px=claim.height_px,
        steps=claim.steps,
        guidance_scale=claim.guidance_scale,
        seed=claim.seed,
        sampler=claim.sampler,
        exact=claim.exact,
    )


def parameters_text(claim: Claim) -> str:
    """The `parameters` text that the PNG carries."""
    return write_parameters(
        Parameters(
            prompt=claim.prompt,
            negative_prompt=claim.negative_prompt,
            steps=claim.steps,
            sampler=SAMPLER_NAMES[claim.sampler],
            guidance_scale=claim.guidance_scale,
            seed=claim.seed,
            width_px=claim.width_px,
            height_px=claim.height_px,
            model=claim.model.name,
            version=f"Darkroom {__version__}",
        )
    )


def timings_of(claim: Claim, rendered: RenderedImage, *, finish_s: float) -> dict[str, float]:
    """Seconds by stage; `queue_s` runs from the request to the claim."""
    timings = rendered.timings
    return {
        "queue_s": round(claim.waited_s, 3),
        "wait_s": round(timings.wait_s, 3),
        "load_s": round(timings.load_s, 3),
        "encode_s": round(timings.encode_s, 3),
        "denoise_s": round(timings.denoise_s, 3),
        "decode_s": round(timings.decode_s, 3),
        "finish_s": round(finish_s, 3),
    }


_building = threading.Lock()


def desk() -> Desk:
    """This process's desk; the first call loads torch and starts the engine thread."""
    with _building:  # the first bell and the heartbeat may both be first
        return _build_desk()


@cache
def _build_desk() -> Desk:
    # Read once, when torch loads its OpenMP: threads that wait must sleep. Spinning ones cost an
    # image on a busy machine ten to twenty times its seconds (20 steps: 11 s against 0.6 s).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from worker.pipelines.runner import DiffusersRunner  # torch: only in processes that draw

    config = EngineConfig.from_env(os.environ)
    engine = Engine(DiffusersRunner(config), config)
    engine.start()
    return Desk(engine, name=worker_name(), slots=settings.WORKER_SLOTS)


def worker_name() -> str:
    """Host and process: what an image's receipt and the admin's list of workers show."""
    return f"{os.uname().nodename}-{os.getpid()}"


@worker_ready.connect
def open_desk(sender: Any, **_signal: Any) -> None:
    """Loads the engine beside the consumer, and beats from then on."""
    node = str(sender.hostname)

    def beat() -> None:
        snapshot = desk().engine.snapshot
        heartbeat.beat_forever(name=worker_name(), node=node, describe=lambda: vars_of(snapshot()))

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


@worker_shutting_down.connect
def close_desk(**_signal: Any) -> None:
    """Drains beside Celery's own warm shutdown, which waits for the tasks to return."""
    if _build_desk.cache_info().currsize:
        threading.Thread(target=desk().drain, name="drain").start()


def vars_of(snapshot: EngineSnapshot) -> dict[str, Any]:
    """The engine's gauges as JSON; memory in bytes."""
    gauges = asdict(snapshot.gauges)
    return {
        "in_flight": len(snapshot.in_flight),
        "queued": snapshot.queued,
        "model": snapshot.resident_model or "",
        "rows": snapshot.rows,
        "row_cap": snapshot.row_cap,
        **gauges,
    }
