"""Images as files to keep: one in another format, with or without what made it; many as one zip."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

from django.utils.text import slugify
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User
from webapp.core.decoding import ask_child, decoding_turn
from webapp.core.errors import TooMany
from webapp.core.texts import read_choice
from webapp.core.zipping import ZipEntry
from webapp.gallery.selection import Selection, select_images
from webapp.generation.models import Image
from webapp.generation.storage import read_kept, read_pieces

NAME_LENGTH = 60
IMAGES_MOST = 2000  # in one zip
ZIP_MOST = gettext_lazy("At most {most} images fit into one zip. Select fewer.")
ZIPPED = ("file", "seed", "finished_at", "generation__prompt")  # fields that a zip needs


@dataclass(frozen=True, slots=True)
class Format:
    """A format that an image can be downloaded in: the ending of its name and its content type."""

    suffix: str
    content_type: str


FORMATS = {
    "png": Format("png", "image/png"),
    "jpeg": Format("jpg", "image/jpeg"),
    "webp": Format("webp", "image/webp"),
}


def download_name(image: Image) -> str:
    """`a-fox-at-dusk-48213.png`: letters of any script, at most 60 of them, then the seed."""
    words = slugify(image.generation.prompt, allow_unicode=True)[:NAME_LENGTH].strip("-")
    return f"{words or 'image'}-{image.seed}.png"


def as_stored(*, name: str, with_metadata: bool) -> bool:
    """True for a PNG with its metadata: that is the file as it was stored."""
    return name == "png" and with_metadata


def encode(image: Image, *, name: str, with_metadata: bool, asker: object) -> tuple[bytes, Format]:
    """The image's bytes in that format, made of the stored file; `as_stored` says when that is it.
    `asker` is whoever waits for it, one image at a time.

    Raises InvalidInput for a format that is not on offer, NotFound if the file is gone, TooMany
    and Unavailable if no turn to encode it comes soon.
    """
    read_choice(name, field="format", allowed=FORMATS)
    with decoding_turn(asker) as child:
        stored = read_kept(image.file)
        options = {"name": name, "with_metadata": with_metadata}
        _facts, (body,) = ask_child(child, "encode", [stored], **options)
        return body, FORMATS[name]


def list_entries(*, owner: User, selection: Selection) -> list[ZipEntry]:
    """The files of the selection, newest first, each under a name of its own. Raises TooMany
    beyond 2,000, and as `select_images` does."""
    images = select_images(owner=owner, selection=selection).select_related("generation")
    found = list(images.order_by("-finished_at", "-pk").only(*ZIPPED)[: IMAGES_MOST + 1])
    if len(found) > IMAGES_MOST:
        raise TooMany(ZIP_MOST.format(most=f"{IMAGES_MOST:,}"))
    return [
        ZipEntry(name, partial(read_pieces, image.file), modified=image.finished_at)
        for name, image in zip(_names(found), found, strict=True)
    ]


def _names(images: list[Image]) -> Iterator[str]:
    """`a-fox-7.png`, and if that is taken `a-fox-7-2.png`."""
    taken: set[str] = set()
    for image in images:
        name = wanted = download_name(image)
        for number in count(2):
            if name not in taken:
                break
            name = f"{wanted.removesuffix('.png')}-{number}.png"
        taken.add(name)
        yield name
