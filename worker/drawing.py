"""One claimed image, from the engine to the gallery or to one of the ends without a picture."""

import base64
import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from webapp.generation import claims, events, services
from webapp.generation.claims import Claim
from webapp.generation.services import Rendering
from webapp.generation.storage import StoredFile, delete_files, file_names, write_image_files
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled, EngineError, EngineStopped
from worker.engine.request import Progress, RenderedImage
from worker.engine_requests import image_request, parameters_text
from worker.failures import StorageFailed, Withheld, report_failure
from worker.finishing.encode import FinishedImage, finish
from worker.finishing.strip import FinishedStrip, Strip
from worker.pace import StepPace

logger = logging.getLogger(__name__)

RENEW_SHARE = 4  # a lease is renewed four times in its length
STALLED_S = 900.0  # loading a large model from a slow disk is one long silence
RETRY_S = 0.5
Answer = TypeVar("Answer")


class Drawing:
    """One claimed image, from the engine to the gallery."""

    def __init__(self, engine: Engine, claim: Claim) -> None:
        self.engine = engine
        self.claim = claim
        self.news: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self.strip = Strip()
        self.pace = StepPace()
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
        left_s = self.left_s(progress)
        if left_s is not None:
            event["left_s"] = round(left_s, 1)
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

    def left_s(self, progress: Progress) -> float | None:
        """Seconds until the last step; None where no pace is known."""
        if progress.stage != "denoising":
            return None
        return self.pace.left_s(step=progress.step, steps=progress.steps, now_s=time.monotonic())

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
