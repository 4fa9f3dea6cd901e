"""Previews of images under way: begun by the engine's thread, finished and told by another."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from worker.engine.device_errors import is_device_lost
from worker.engine.job import Job
from worker.engine.runner import Runner

FAILED = "a preview of request %s failed"


class Previews:
    """Shows images so far. Whatever goes wrong costs the preview alone; a lost device, which the
    next call of the engine would find too, is told to `on_lost` from the thread of previews."""

    def __init__(self, runner: Runner, *, on_lost: Callable[[BaseException], None]) -> None:
        self._runner = runner
        self._on_lost = on_lost
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix="previews", initializer=runner.enter_thread
        )

    def start(self, job: Job, *, every: int) -> None:
        """Show the image so far if that is due, unless the last preview of it is still being
        made. Raises what says that the device is lost, and nothing else."""
        if job.denoising is None or not job.needs_preview(every=every):
            return
        job.previewing = True
        try:
            preview = self._runner.start_preview(job.denoising)
            self._pool.submit(self._tell, job, preview, job.done)
        # A preview is not worth an image: no room for it, or Python's own end, which takes the
        # pool away.
        except Exception as error:
            job.previewing = False
            if is_device_lost(error):
                raise
            job.log_error(FAILED, error)

    def close(self) -> None:
        """Take no more; what is begun ends by itself."""
        self._pool.shutdown(wait=False)

    def _tell(self, job: Job, preview: Callable[[], bytes | None], step: int) -> None:
        try:
            shown = job.run(preview)
        except Exception as error:
            if is_device_lost(error):
                self._on_lost(error)
            else:
                job.log_error(FAILED, error)
            shown = None
        job.previewing = False
        if shown and job.stage == "denoising" and job.stop_reason is None:
            job.tell("denoising", job.done, job.calls, shown, step)
