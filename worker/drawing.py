"""One claimed image, from the engine to the gallery or to one of the ends without an image."""

import base64
import logging
import queue
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from webapp.core.tracing import note_failure, note_stages, span
from webapp.core.trail import Trail
from webapp.embedded.worker_health import STALLED_S
from webapp.generation import events
from webapp.generation.queueing import claims, services, sweeping
from webapp.generation.queueing.claims import Claim
from webapp.generation.queueing.services import DrawingReport
from webapp.generation.storage import (
    StorageAway,
    StoredFile,
    delete_files,
    file_names,
    write_image_files,
)
from worker.engine.engine import Engine
from worker.engine.errors import Cancelled, EngineError, EngineFailed, EngineStopped
from worker.engine.request import ImageRequest, Progress, RenderedImage
from worker.engine_door import EngineDoor
from worker.engine_requests import image_request, parameters_text
from worker.failures import Withheld, report_failure
from worker.finishing.encode import FinishedImage, finish
from worker.finishing.strip import FinishedStrip, Strip
from worker.leases import LeaseKeeper
from worker.pace import StepPace
from worker.patience import Patience
from worker.start_images import StorageFailed
from worker.storage_watch import RETRY_S, StorageWatch
from worker.tally import Tally

logger = logging.getLogger(__name__)

NOT_BEGUN = {"waiting", "loading"}  # stages in which the engine does nothing for one image alone


@dataclass(frozen=True, slots=True)
class Bench:
    """What all drawings of a worker share."""

    engine: Engine
    leases: LeaseKeeper
    door: EngineDoor
    storage: StorageWatch
    patience: Patience
    draining: threading.Event
    tally: Tally = field(default_factory=Tally)


class Drawing:
    """One claimed image, from the engine to the gallery."""

    def __init__(self, bench: Bench, claim: Claim) -> None:
        self.bench = bench
        self.engine = bench.engine
        self.claim = claim
        self.request_id = str(claim.lease_token)  # an image that came back is another request
        self.news: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self.strip = Strip()
        self.pace = StepPace()
        self.is_lost = threading.Event()
        self.is_in_engine = False
        self.has_begun = False

    def run(self) -> None:
        """Draws, finishes and stores; whatever fails ends in one of the states that are left.
        Raises GaveUp if the worker stops while the database is away."""
        self.bench.leases.hold(self)
        try:
            with self.bench.door.enter(alone=self.claim.alone, is_over=self.is_over) as entered:
                if entered:
                    self.draw()
                elif not self.is_lost.is_set():
                    self.give_back()
        finally:
            self.bench.leases.let_go(self)

    def draw(self) -> None:
        """Draws, encodes and stores the image; the caller holds the engine's door open. Raises
        GaveUp if the worker stops while the database is away."""
        try:
            rendered = self.render()
        except Cancelled:
            logger.info("image %s was cancelled or its lease was lost", self.claim.image_id)
        except EngineFailed:
            self.give_back_counted()
        except EngineStopped:
            self.give_back()
        except EngineError as error:
            self.fail(error)
        else:
            self.hand_in(rendered)

    def fail(self, error: EngineError) -> None:
        """The image cannot be drawn. Raises GaveUp."""
        note_failure(error.code)
        self.bench.patience.patiently(lambda: report_failure(self.claim, error))
        self.bench.tally.note_failed()

    def give_back(self) -> None:
        """The image is for another worker, or for another time."""
        self.bench.patience.patiently(lambda: services.give_back_image(claim=self.claim))

    def give_back_counted(self) -> None:
        """The image is for another process, and may be what ended this one's engine: the drawing
        counts as that of a worker that was killed."""
        leases = {self.claim.image_id: self.claim.lease_token}
        if self.has_begun:  # whoever writes that down beside the engine may not have come to it
            self.bench.patience.patiently(lambda: claims.begin_drawings(leases=leases))
        self.bench.patience.patiently(
            lambda: sweeping.return_lost_drawing(
                image_id=self.claim.image_id, lease_token=self.claim.lease_token
            )
        )

    def is_over(self) -> bool:
        """Whether there is nothing to wait for: the image is lost, or the worker stops."""
        return self.is_lost.is_set() or self.bench.draining.is_set()

    def may_renew(self) -> bool:
        """False if the engine hangs over it: another worker should have the image."""
        if not self.is_in_engine or self.engine.stalled_s() <= STALLED_S:
            return True
        logger.error("the engine has not moved for %.0f s", STALLED_S)
        self.engine.cancel(self.request_id)
        return False

    def lose(self) -> None:
        """The image is somebody else's, or cancelled: what is drawn of it is dropped."""
        self.is_lost.set()
        self.engine.cancel(self.request_id)

    def render(self) -> RenderedImage:
        """The image; raises EngineError. Progress is told meanwhile."""
        request = self.read_request()
        if self.claim.alone:
            # It may stop this worker at once: counted before it can.
            self.has_begun = True
            leases = {self.claim.image_id: self.claim.lease_token}
            self.bench.patience.patiently(lambda: claims.begin_drawings(leases=leases))
        future = self.engine.submit(request, on_progress=self.hear)
        future.add_done_callback(lambda _future: self.news.put(None))
        self.is_in_engine = True
        is_over = False
        while not is_over:
            latest, is_over = self.wait_for_news()
            if latest is not None:
                self.tell(latest)
        self.is_in_engine = False
        return future.result()

    def read_request(self) -> ImageRequest:
        """What the engine is asked for; waits for a storage that is away. Raises InvalidRequest,
        StorageFailed if it was waited for in vain, and EngineStopped or Cancelled if there is no
        time to wait."""
        patience_ends_s = time.monotonic() + STALLED_S
        while True:
            try:
                request = image_request(self.claim)
            except StorageAway as error:
                logger.warning("image %s waits for its start image: %s", self.request_id, error)
                if time.monotonic() > patience_ends_s:
                    self.bench.storage.note_unread(error)
                    raise StorageFailed(detail=str(error)) from error
            else:
                if request.start is not None:
                    self.bench.storage.note_read()
                return request
            if self.is_lost.wait(RETRY_S):
                raise Cancelled
            if self.bench.draining.is_set():
                raise EngineStopped

    def hear(self, progress: Progress) -> None:
        """In the engine's threads: every preview is kept, even of news that come in a burst."""
        if not self.has_begun and progress.stage not in NOT_BEGUN:
            self.has_begun = True
            self.bench.leases.begin(self)
        self.strip.keep(progress)
        self.news.put(progress)

    def wait_for_news(self) -> tuple[Progress | None, bool]:
        """The newest progress, with the preview of an earlier one if it has none itself, and
        whether the engine is done with the image."""
        latest = None
        news = self.news.get()
        while news is not None:
            latest = newer(latest, news)
            try:
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
            self.engine.cancel(self.request_id)

    def left_s(self, progress: Progress) -> float | None:
        """Seconds until the last step; None if no pace is known."""
        if progress.stage != "denoising":
            return None
        return self.pace.left_s(step=progress.step, steps=progress.steps, now_s=time.monotonic())

    def hand_in(self, rendered: RenderedImage) -> None:
        """Writes the files, then commits charge and image; a lost lease deletes its own files."""
        if rendered.blacked_out:
            self.fail(Withheld())
            return
        started = time.monotonic()
        finished = finish(rendered, parameters=parameters_text(self.claim))
        strip = self.strip.finish(rendered)
        file = self.bench.storage.keep(
            lambda: self.write(finished, strip),
            size_bytes=len(finished.png) + len(finished.thumbnail_webp),
            is_over=self.is_over,
        )
        if file is None:
            self.leave_unwritten()
            return
        timings_s = timings_of(self.claim, rendered, finish_s=time.monotonic() - started)
        note_stages({name: s for name, s in timings_s.items() if name != "queue_s"})
        self.store(file, rendered, timings_s)

    def leave_unwritten(self) -> None:
        """There is no more time to wait for the storage: the image goes back to the queue."""
        if not self.is_lost.is_set():
            self.give_back()
        self.delete_own_files()

    def store(self, file: StoredFile, rendered: RenderedImage, timings_s: dict[str, float]) -> None:
        """The commit, or none if the image is somebody else's: its files go then."""
        rendering = DrawingReport(
            timings_s=timings_s,
            fingerprint=rendered.fingerprint,
            batch={"rows_mean": round(rendered.rows.mean, 2), "rows_most": rendered.rows.most},
        )
        stored = self.bench.patience.patiently(
            lambda: services.store_image(
                image_id=self.claim.image_id,
                lease_token=self.claim.lease_token,
                file=file,
                rendering=rendering,
            )
        )
        if not stored:
            self.delete_own_files()
            return
        logger.info("image %s is stored", self.claim.image_id)
        self.bench.tally.note_stored(timings_s)
        if self.claim.model.problem:
            services.withdraw_problem(model=self.claim.model)

    def delete_own_files(self) -> None:
        """Those of this attempt; what the storage does not delete now is swept later."""
        names = file_names(image_id=self.claim.image_id, lease_token=self.claim.lease_token)
        try:
            delete_files(*names)
        except StorageAway as error:
            logger.warning("files of %s are swept later: %s", names[0], error)

    def write(self, finished: FinishedImage, strip: FinishedStrip | None) -> StoredFile:
        """Writes the image, its thumbnail and its strip to the storage. Raises StorageAway."""
        return write_image_files(
            image_id=self.claim.image_id,
            lease_token=self.claim.lease_token,
            png=finished.png,
            thumbnail_webp=finished.thumbnail_webp,
            strip_webp=strip.webp if strip else b"",
            strip_steps=strip.steps if strip else (),
        )


def trail_of(claim: Claim) -> Trail:
    """Whom and what the lines of the log belong to while this image is drawn."""
    return Trail(claim.request_id, str(claim.image_id), find_user_id=lambda: claim.owner_id)


def span_of(claim: Claim) -> AbstractContextManager[None]:
    """The span of drawing this image, below that of the page that asked for it."""
    return span(
        "draw image",
        parent=claim.trace,
        image_id=str(claim.image_id),
        model=claim.model.slug,
        attempt=claim.attempt,
    )


def newer(before: Progress | None, now: Progress) -> Progress:
    """`now`, which still shows the preview that `before` brought."""
    if before is None or now.preview or not before.preview or now.stage != before.stage:
        return now
    return replace(now, preview=before.preview, preview_step=before.preview_step)


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
