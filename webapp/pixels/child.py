"""Run as a script: child.py DESCRIPTOR MEMORY_MB. Answers one task after the other until the other
end hangs up.

It imports Pillow and nothing of the studio. Its memory is limited by the system: a file that needs
more ends in a MemoryError here, and nowhere else.
"""

import io
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Its modules go by their whole names; Python was told to look for none by itself.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from webapp.pixels.cleaning import DAMAGED, TOO_LARGE, RefusedError, clean
from webapp.pixels.encoding import encode
from webapp.pixels.messages import Message, read_message, write_message
from webapp.pixels.noising import draw_noising

MEGABYTE = 1024 * 1024
NICE = 10  # pages come first

Blobs = Sequence[bytes]
Answer = tuple[dict[str, Any], list[bytes]]


def _clean(options: dict[str, Any], blobs: Blobs) -> Answer:
    done = clean(io.BytesIO(blobs[0]), kind=options["kind"])
    facts = {"width_px": done.width_px, "height_px": done.height_px}
    return facts, [done.png, done.thumbnail_webp]


def _encode(options: dict[str, Any], blobs: Blobs) -> Answer:
    return {}, [encode(blobs[0], **options)]


def _noising(options: dict[str, Any], blobs: Blobs) -> Answer:
    return {}, [draw_noising(blobs[0], blobs[1], options["levels"])]


TASKS: dict[str, Callable[[dict[str, Any], Blobs], Answer]] = {
    "clean": _clean,
    "encode": _encode,
    "noising": _noising,
}


def main() -> None:
    """Serves the socket that the web process handed over."""
    descriptor, memory_mb = (int(word) for word in sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the web process's to answer
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * MEGABYTE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    with socket.socket(fileno=descriptor) as parent:
        while (message := read_message(parent)) is not None:
            answer = perform(message)
            del message
            write_message(parent, *answer)
            del answer


def perform(message: Message) -> Answer:
    """The answer of the task; for an image that will not do, `{"refused": code}`."""
    options, blobs = message
    try:
        return TASKS[options.pop("task")](options, blobs)
    except RefusedError as refused:
        return {"refused": refused.code}, []
    except TOO_LARGE:
        return {"refused": "too_many_pixels"}, []
    except DAMAGED:
        return {"refused": "unreadable"}, []


if __name__ == "__main__":
    main()
