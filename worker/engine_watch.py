"""Looks after the engine from beside it: writes down how it is, and ends a worker without one."""

import logging
import os
import threading
import time

from webapp.embedded.worker_health import STALLED_S, EngineHealth, write_health
from worker.ending import end_worker
from worker.engine.engine import Engine
from worker.engine.errors import DeviceLost, EngineFailed

logger = logging.getLogger(__name__)

LOOK_S = 5.0
# After STALLED_S its images are another worker's; a load that takes longer still is let come to
# its end, so that a disk that slow serves a model at last.
HANGS_S = 2 * STALLED_S
STOPPED = "It was stopped."

_last_word = threading.Event()


def start_watch(engine: Engine, *, node: str) -> None:
    """Watches in a thread, from now until the engine ends."""
    threading.Thread(target=watch, args=[engine, node], name="engine watch", daemon=True).start()


def watch(engine: Engine, node: str) -> None:
    """Returns when the engine was closed, or this process has begun to end for want of it."""
    has_ended = False
    while not has_ended:
        _write_down(engine, node)
        has_ended = engine.wait_until_ended(timeout_s=LOOK_S)
        if not has_ended and engine.stalled_s() > HANGS_S:
            end_worker(
                code=f"engine_hangs:{node}", sentence=_hang_told(node), detail=f"{HANGS_S:.0f} s"
            )
            return
    write_end(node, str(engine.ended_by or STOPPED))
    if engine.ended_by is not None:
        code = "device_lost" if isinstance(engine.ended_by, DeviceLost) else "engine_failed"
        sentence = _end_told(engine.ended_by, node)
        end_worker(code=f"{code}:{node}", sentence=sentence, detail=engine.ended_by.detail)


def write_end(node: str, sentence: str) -> None:
    """Writes down that this worker has no engine, or none any more, and why: its last word."""
    _last_word.set()
    _write(node, EngineHealth(pid=os.getpid(), at_s=time.monotonic(), ended_by=sentence))


def _write_down(engine: Engine, node: str) -> None:
    stalled_s = engine.stalled_s()
    if _last_word.is_set():  # race: Celery ends while this thread looks
        return
    _write(node, EngineHealth(pid=os.getpid(), at_s=time.monotonic(), stalled_s=stalled_s))


def _write(node: str, health: EngineHealth) -> None:
    try:
        write_health(node, health)
    except OSError as error:  # the disk is full: this costs the health check, and no image
        logger.warning("how the engine is could not be written down: %s", error)


def _end_told(error: EngineFailed, node: str) -> str:
    is_lost = isinstance(error, DeviceLost)
    return (
        f"The device of worker {node} stopped working."
        if is_lost
        else f"The engine of worker {node} ended because of an unexpected error."
    ) + " All its images went back to the queue, and the worker starts again."


def _hang_told(node: str) -> str:
    return (
        f"The device of worker {node} has not answered for {HANGS_S / 60:.0f} minutes."
        " All its images go back to the queue, and the worker starts again."
    )
