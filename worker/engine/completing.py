"""Decoded images on their way from the device: waited for beside the engine's thread."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from worker.engine.device_errors import is_device_lost
from worker.engine.errors import EngineError
from worker.engine.job import Job
from worker.engine.request import RenderedImage
from worker.engine.runner import Runner

End = Callable[[Job, RenderedImage | EngineError], None]


class Completions:
    """Ends jobs whose images arrive, by `end`, from a thread of its own. A lost device is told to
    `on_lost`, and its jobs are left to who ends them all."""

    def __init__(
        self, runner: Runner, *, end: End, on_lost: Callable[[BaseException], None]
    ) -> None:
        self._end = end
        self._on_lost = on_lost
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix="completions", initializer=runner.enter_thread
        )

    def start(self, job: Job, complete: Callable[[], RenderedImage], *, began_s: float) -> None:
        """End `job` with what `complete` returns or raises, which may wait for the device;
        decoding began at `began_s`. Raises RuntimeError if Python's own end took the thread."""
        self._pool.submit(self._complete, job, complete, began_s)

    def close(self) -> None:
        """Take no more; what is begun ends by itself."""
        self._pool.shutdown(wait=False)

    def _complete(self, job: Job, complete: Callable[[], RenderedImage], began_s: float) -> None:
        try:
            image = job.run(complete)
        # Rust's libraries panic with a BaseException, and whoever waits must be told of that too.
        except BaseException as error:
            if is_device_lost(error):
                self._on_lost(error)
            else:
                self._end(job, job.as_engine_error(error))
            return
        timings = job.timings(decode_s=time.monotonic() - began_s)
        self._end(job, replace(image, timings=timings, rows=job.rows()))
