"""What the page of one image offers to do with it."""

from dataclasses import dataclass

from webapp.accounts.models import User
from webapp.gallery.collections import list_holding
from webapp.gallery.models import Collection, Share
from webapp.gallery.selectors import list_collections
from webapp.gallery.sharing import get_share
from webapp.gallery.strings import gallery_strings
from webapp.generation.models import Image


@dataclass(frozen=True, slots=True)
class ImageActions:
    """The owner's collections, each with whether the image is in it; the link to it, if
    there is one; and the sentences of the scripts."""

    collections: list[tuple[Collection, bool]]
    share: Share | None
    strings: dict[str, str]


def read_actions(*, owner: User, image: Image) -> ImageActions:
    """What `gallery/_image_actions.html` shows; nothing but sentences if the image is not
    finished."""
    if image.state != Image.State.STORED:
        return ImageActions([], None, gallery_strings())
    holding = list_holding(image=image)
    mine = [(one, one.pk in holding) for one in list_collections(owner=owner)]
    return ImageActions(mine, get_share(image=image), gallery_strings())
