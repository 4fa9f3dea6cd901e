"""What the page of one image shows beside the image: what it came from and what came of it, its
neighbours in the gallery, and what can be done with it."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from webapp.accounts.models import User
from webapp.catalog.pricing import read_prices
from webapp.catalog.selectors import get_offered_model
from webapp.core.errors import InvalidInput
from webapp.gallery.collections import list_holding
from webapp.gallery.models import Collection, Share
from webapp.gallery.selectors import list_collections
from webapp.gallery.sharing import get_share
from webapp.gallery.strings import gallery_strings
from webapp.generation.models import Image
from webapp.generation.request.checks import parse_enlargement

RELATIVES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where an image stands among the owner's others; each list is in the order of drawing and
    holds twelve at most. `parent` is None if it was deleted, or if there never was one."""

    parent: Image | None
    siblings: list[Image]
    children: list[Image]

    @property
    def parents(self) -> list[Image]:
        """The parent alone, or nothing."""
        return [self.parent] if self.parent else []


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The images before and after one, in the order of the gallery; None at either end of it."""

    newer: Image | None
    older: Image | None


@dataclass(frozen=True, slots=True)
class Enlargement:
    """What the button says; `problem` is the sentence that stands in its place if there can be
    none, and `price_ucr` None if there is no price."""

    width_px: int = 0
    height_px: int = 0
    price_ucr: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ImageActions:
    """The owner's collections, each with whether the image is in it; the link to it, if
    there is one; and the sentences of the scripts."""

    collections: list[tuple[Collection, bool]]
    share: Share | None
    strings: dict[str, str]


def read_lineage(found: Image) -> Lineage:
    """What the owner's image was made from, what came of it, and what was drawn with it."""
    shown = _stored(found).select_related("generation")
    parent_id = found.generation.parent_id
    siblings = shown.filter(generation_id=found.generation_id).exclude(pk=found.pk)
    children = shown.filter(generation__parent=found)
    return Lineage(
        parent=shown.filter(pk=parent_id).first() if parent_id else None,
        siblings=list(siblings.order_by("index")[:RELATIVES_SHOWN]),
        children=list(children.order_by("finished_at", "pk")[:RELATIVES_SHOWN]),
    )


def get_neighbours(image: Image) -> Neighbours:
    """The owner's stored images next to this one; none for an image that is not stored, or
    in the bin."""
    if image.state != Image.State.STORED or image.binned_at:
        return Neighbours(None, None)
    shown = _stored(image).only("pk")
    same_time = Q(finished_at=image.finished_at)
    newer = Q(finished_at__gt=image.finished_at) | (same_time & Q(pk__gt=image.pk))
    older = Q(finished_at__lt=image.finished_at) | (same_time & Q(pk__lt=image.pk))
    return Neighbours(
        newer=shown.filter(newer).order_by("finished_at", "pk").first(),
        older=shown.filter(older).order_by("-finished_at", "-pk").first(),
    )


def read_enlargement(*, owner: User, image: Image) -> Enlargement | None:
    """Whether the image can be drawn at twice its size, how large that is, and what it costs; None
    if there is no image."""
    if image.state != Image.State.STORED:
        return None
    try:
        model = get_offered_model(slug=image.generation.model.slug, user=owner)
        spec = parse_enlargement(image, model=model, start=image)
    except InvalidInput as refused:
        return Enlargement(problem=refused.sentence)
    size, prices = (spec.width_px, spec.height_px), read_prices(user=owner)
    if prices.problem:
        return Enlargement(*size)
    quote = prices.quote(model=model, width_px=size[0], height_px=size[1], steps=spec.steps)
    return Enlargement(*size, quote.price_each_ucr)


def read_actions(*, owner: User, image: Image) -> ImageActions:
    """What `gallery/_image_actions.html` shows; nothing but sentences if the image is not
    finished."""
    if image.state != Image.State.STORED:
        return ImageActions([], None, gallery_strings())
    holding = list_holding(image=image)
    mine = [(one, one.pk in holding) for one in list_collections(owner=owner)]
    return ImageActions(mine, get_share(image=image), gallery_strings())


def _stored(image: Image) -> QuerySet[Image]:
    """Images of the same owner that have something to show, outside the bin."""
    return Image.objects.filter(
        owner_id=image.owner_id, state=Image.State.STORED, binned_at__isnull=True
    )
