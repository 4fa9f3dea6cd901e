"""Asks `worker.pipelines` in a process of its own: no deep-learning library enters Django.

Its modules print JSON, one object a line; what they refuse stands on the last line of stderr.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError

logger = logging.getLogger(__name__)

ANSWER_S: Final = 300.0  # to load diffusers on a machine that is busy


def ask_worker(module: str, *arguments: str) -> dict[str, Any]:
    """The last JSON line that `python -m worker.pipelines.<module>` prints. Raises CommandError if
    it is not there, prints none, fails, or takes longer than `ANSWER_S`."""
    lines = ask_worker_lines(module, *arguments)
    if not lines:
        raise CommandError(f"worker.pipelines.{module} said nothing.")
    return lines[-1]


def ask_worker_lines(
    module: str, *arguments: str, limit_s: float | None = None
) -> list[dict[str, Any]]:
    """All JSON lines that it prints, of one process. Raises CommandError if it is not there, fails,
    or takes longer than `limit_s` (by itself `ANSWER_S`)."""
    _refuse_without(module)
    limit_s = ANSWER_S if limit_s is None else limit_s
    try:
        asked = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", f"worker.pipelines.{module}", *arguments],
            capture_output=True,
            text=True,
            cwd=settings.BASE_DIR,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        sentence = f"worker.pipelines.{module} did not answer within {limit_s:.0f} seconds."
        raise CommandError(sentence) from error
    if asked.returncode:
        raise CommandError(complaint_of(asked.stderr))
    return [json.loads(line) for line in asked.stdout.splitlines()]


def ask_worker_briefly(module: str, *arguments: str, limit_s: float) -> dict[str, Any] | None:
    """The same answer for a page that waits for it; None if there is none within `limit_s`."""
    try:
        asked = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", f"worker.pipelines.{module}", *arguments],
            capture_output=True,
            cwd=settings.BASE_DIR,
            timeout=limit_s,
            check=True,
        )
        answer: dict[str, Any] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        logger.exception("worker.pipelines.%s did not answer", module)
        return None
    return answer


def stream_worker(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Its JSON lines as they come; raises CommandError with its complaint."""
    _refuse_without(module)
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", f"worker.pipelines.{module}", *arguments],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd=settings.BASE_DIR,
        )
        with process:
            assert process.stdout is not None  # noqa: S101 - asked for above
            for line in process.stdout:
                yield json.loads(line)
        if process.returncode:
            complaints.seek(0)
            raise CommandError(complaint_of(complaints.read()))


def _refuse_without(module: str) -> None:
    """Raises CommandError if this module of the worker's is not here: the web's container carries
    only what looks at a model's files."""
    if not (Path(settings.BASE_DIR) / "worker" / "pipelines" / f"{module}.py").is_file():
        raise CommandError("That needs a worker: run it in a worker's container (docs/deploy.md).")


def complaint_of(text: str) -> str:
    """The sentence on the last line, which is `{"error": ...}` if the worker knew the reason."""
    last = (text.strip().splitlines() or ["The worker's module said nothing."])[-1]
    try:
        return str(json.loads(last)["error"])
    except (ValueError, KeyError, TypeError):
        return last
