"""An image as a file to keep: in another format, with or without what made it."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from webapp.core.errors import InvalidInput, NotFound
from webapp.generation.models import Image
from webapp.generation.pictures import ask_child, decoding_turn
from webapp.generation.storage import read_file


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


def encode(image: Image, *, name: str, with_metadata: bool, asker: object) -> tuple[bytes, Format]:
    """The image's bytes in that format. A PNG with its metadata is the file as it was stored.
    `asker` is whoever waits for it, one image at a time.

    Raises InvalidInput for a format that is not on offer, NotFound if the file is gone, TooMany
    and Unavailable if no turn to encode it comes soon.
    """
    if name not in FORMATS:
        sentence = _("A picture can be had as: %(allowed)s.") % {"allowed": ", ".join(FORMATS)}
        raise InvalidInput(sentence, field="format")
    if name == "png" and with_metadata:
        return read_picture(image), FORMATS[name]
    with decoding_turn(asker) as child:
        stored = read_picture(image)
        options = {"name": name, "with_metadata": with_metadata}
        _facts, (body,) = ask_child(child, "encode", [stored], **options)
        return body, FORMATS[name]


def read_picture(image: Image) -> bytes:
    """The file as it was stored; raises NotFound if it is gone."""
    try:
        body = read_file(image.file) if image.file else None
    except FileNotFoundError:
        body = None
    if body is None:
        raise NotFound(_("There is no picture here, or not any more."))
    return body
