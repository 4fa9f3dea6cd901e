"""The web's way to pixels: a turn at a child process, and its refusals as sentences.

Nothing in this process decodes an image. While somebody waits for a turn, or works in it, the
database is let go.
"""

import atexit
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.utils.translation import gettext as _

from webapp.core.connections import let_go_of_database
from webapp.core.errors import DarkroomError, InvalidInput, TooMany, Unavailable
from webapp.pixels.decoders import BusyError, Child, Decoders, RefusedImageError

MEGABYTE, MEGAPIXEL = 1024 * 1024, 1_000_000
MAX_BYTES = 20 * MEGABYTE
MAX_PIXELS = 25 * MEGAPIXEL
# A WebP of 25 megapixels needs four times its pixels while it is decoded, and the libraries some.
MEMORY_MB, TIME_S = 640, 30.0
WAIT_S, WAITING_MOST = 30.0, 16


@dataclass(frozen=True, slots=True)
class CleanImage:
    """A PNG of our own making, RGB for a start image, grey for a mask; and a small copy."""

    png: bytes
    thumbnail_webp: bytes
    width_px: int
    height_px: int


@cache
def decoders() -> Decoders:
    """The children that decode for this process; each starts when it is first needed."""
    made = Decoders(
        count=settings.DECODERS,
        memory_mb=MEMORY_MB,
        time_s=TIME_S,
        wait_s=WAIT_S,
        waiting_most=WAITING_MOST,
    )
    atexit.register(made.end)
    return made


@contextmanager
def decoding_turn(owner: object) -> Iterator[Child]:
    """A child for the block, in which its result is put away, too.

    Raises TooMany if the owner's other images are in the way, Unavailable if everybody's are, and
    InvalidInput for an image that the child refuses.
    """
    let_go_of_database()
    try:
        with decoders().turn(str(owner)) as child:
            yield child
    except BusyError as busy:
        raise _told_busy(busy) from busy
    except RefusedImageError as refused:
        raise _told_refusal(refused.code) from refused


def ask_child(
    child: Child, task: str, blobs: Sequence[bytes | Iterable[bytes]], **options: Any
) -> tuple[dict[str, Any], list[bytes]]:
    """What the child answers; raises RefusedImageError, which `decoding_turn` tells."""
    return child.ask({"task": task, **options}, blobs)


def clean_image(child: Child, file: "File[Any]", *, size_bytes: int, kind: str) -> CleanImage:
    """The image upright, opaque (a start image on white, a mask on black), in sRGB, at most 2048 px
    long, without metadata.

    Raises InvalidInput (`file`) for more than 20 MB, and RefusedImageError for what is not a PNG,
    JPEG or WebP by its content, for more than 25 megapixels (by the header, before anything is
    decoded), for a damaged file, and for a mask without anything to redraw.
    """
    check_size(size_bytes)
    facts, (png, thumbnail) = ask_child(child, "clean", [file.chunks()], kind=kind)
    return CleanImage(png, thumbnail, facts["width_px"], facts["height_px"])


def check_size(size_bytes: int) -> None:
    """None for a file that may be looked at; raises InvalidInput for a larger one."""
    if size_bytes > MAX_BYTES:
        raise InvalidInput(too_large(size=f"{size_bytes / MEGABYTE:.1f}"), field="file")


def too_large(*, size: str) -> str:
    """The sentence for a file of `size` megabytes."""
    sentence = _("The file has %(size)s MB; at most %(most)d MB are allowed.")
    return sentence % {"size": size, "most": MAX_BYTES // MEGABYTE}


def _told_busy(busy: BusyError) -> DarkroomError:
    if busy.is_own:
        return TooMany(_("Your other images are still being read. Try again in a moment."))
    return Unavailable(_("Many images are being read at the moment. Try again in a moment."))


def _told_refusal(code: str) -> InvalidInput:
    sentences = {
        "too_many_pixels": _("The image is too large: at most %(most)d megapixels are allowed.")
        % {"most": MAX_PIXELS // MEGAPIXEL},
        "empty_mask": _("The mask is empty: paint over what should be redrawn."),
        "too_slow": _("This image takes too long to read. Upload a smaller one."),
    }
    unreadable = _("This file can't be read as an image. Upload a PNG, JPEG or WebP file.")
    return InvalidInput(sentences.get(code, unreadable), field="file")
