"""What the studio shows of its visitor's generations: tiles with their newest progress, and bills;
and what an open page compares itself with."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from webapp.accounts.models import User
from webapp.catalog.pricing import Prices, read_prices
from webapp.core.errors import NotFound
from webapp.generation.events import image_facts, read_progress
from webapp.generation.live.strings import say_left, say_place, say_wait
from webapp.generation.models import Generation, Image
from webapp.generation.queueing.places import Place, count_waiting, look_at_queue
from webapp.generation.request.styles import style_name

GROUPS_SHOWN = 20
# Live images that a page is told of without having asked for them.
MOST_TOLD = 100
# What `events.image_facts` reads.
TOLD = ("generation_id", "index", "state", "attempt", "failure")
UNCHARGED = (Image.State.FAILED, Image.State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the feed; `progress` is the worker's newest word while it is drawn, and
    `place` where it stands while it waits; `again_ucr` is what one more would cost if it ended
    without being stored, None if there is no price."""

    image: Image
    progress: dict[str, Any]
    place: Place | None = None
    again_ucr: int | None = None

    @property
    def version(self) -> str:
        """Changes whenever the tile has to be rendered again."""
        return f"{self.image.state}-{self.image.attempt}"

    @property
    def place_words(self) -> str:
        return say_place(self.place)

    @property
    def wait_words(self) -> str:
        return say_wait(self.place)

    @property
    def left_words(self) -> str:
        return say_left(self.progress.get("left_s"))


@dataclass(frozen=True, slots=True)
class Group:
    """One generation of the feed."""

    generation: Generation
    tiles: list[Tile]

    @property
    def is_live(self) -> bool:
        """True while at least one image is waiting or being generated."""
        return any(tile.image.state in Image.LIVE for tile in self.tiles)

    @property
    def style_name(self) -> str:
        """The name of its style; "" if none was chosen."""
        return style_name(self.generation.style, model=self.generation.model)

    @property
    def charged_ucr(self) -> int:
        """What the finished images cost together, in micro-credits."""
        return self.generation.price_each_ucr * self._count(Image.State.STORED)

    @property
    def not_charged(self) -> int:
        """How many images ended without being stored, and so without a charge."""
        return self._count(*UNCHARGED)

    def _count(self, *states: str) -> int:
        return sum(tile.image.state in states for tile in self.tiles)


def list_groups(*, owner: User) -> list[Group]:
    """The owner's newest generations, as the studio opens with them."""
    return _groups(_feed_of(owner)[:GROUPS_SHOWN])


def new_group(generation: Generation) -> Group:
    """A generation that was submitted just now, as it was written, without another look: places
    and whatever happened since come to the page by its event stream."""
    return Group(generation, [Tile(image, {}) for image in generation.just_queued])


def get_group(*, owner: User, generation_id: uuid.UUID) -> Group:
    """One generation of the owner; raises NotFound to anybody else."""
    found = _groups(_feed_of(owner).filter(pk=generation_id))
    if not found:
        raise NotFound
    return found[0]


def read_state(*, owner: User, ids: list[uuid.UUID]) -> dict[str, Any]:
    """The owner's live images of their newest generations, as many as are shown, those that run and
    those of the ids that are theirs, as `events.image_facts`; the newest progress of those that
    run; the queue as their page is told it. However many wait, it costs the same."""
    mine = Image.objects.filter(owner=owner).only(*TOLD)
    running = list(mine.filter(state=Image.State.RUNNING).order_by("-started_at")[:MOST_TOLD])
    known = {image.pk: image_facts(image) for image in (*running, *_newest_live(owner))}
    others = mine.filter(pk__in=[one for one in ids if one not in known])
    known |= {image.pk: image_facts(image) for image in others}
    waiting = count_waiting(owner_ids=[owner.pk]).get(owner.pk, 0)
    view = look_at_queue(owner_ids=[owner.pk] if waiting else [])
    return {
        "images": list(known.values()),
        "progress": read_progress([image.pk for image in running]),
        "queue": view.facts_of(owner.pk, waiting=waiting),
    }


def _newest_live(owner: User) -> QuerySet[Image]:
    newest = Generation.objects.filter(owner=owner).order_by("-created_at", "-pk")
    ids = list(newest.values_list("pk", flat=True)[:GROUPS_SHOWN])
    live = Image.objects.filter(generation__in=ids, state__in=Image.LIVE)
    return live.order_by("-created_at", "index").only(*TOLD)[:MOST_TOLD]


def has_no_worker() -> bool:
    """Whether it is known that nobody draws now; False while Valkey does not say."""
    return look_at_queue(owner_ids=[]).workers == 0


def price_again(*, owner: User, generation: Generation, prices: Prices | None = None) -> int | None:
    """What one more image of that request costs its owner now, in micro-credits; None if there is
    no price. `prices` saves reading them for each of many."""
    prices = prices or read_prices(user=owner)
    if prices.problem:
        return None
    size = {"width_px": generation.width_px, "height_px": generation.height_px}
    return prices.quote(model=generation.model, steps=generation.steps, **size).price_each_ucr


def _feed_of(owner: User) -> QuerySet[Generation]:
    """The owner's generations, newest first, each with its images in order."""
    images = Image.objects.order_by("index")
    return (
        Generation.objects.filter(owner=owner)
        .select_related("model")
        .prefetch_related(Prefetch("images", queryset=images))
        .order_by("-created_at", "-pk")
    )


def _read_places(generations: list[Generation]) -> dict[uuid.UUID, Place]:
    """Where their queued images stand; all generations are one owner's."""
    for generation in generations:
        if any(image.state == Image.State.QUEUED for image in generation.images.all()):
            owner_id = generation.owner_id
            return look_at_queue(owner_ids=[owner_id]).places.get(owner_id, {})
    return {}


def _read_prices_again(generations: list[Generation]) -> dict[uuid.UUID, int | None]:
    """What one more image of each costs, if some of it ended without being stored; all are one
    owner's, whose prices are read once."""
    ended = [
        generation
        for generation in generations
        if any(image.state in UNCHARGED for image in generation.images.all())
    ]
    if not ended:
        return {}
    owner = ended[0].owner
    prices = read_prices(user=owner)
    return {one.pk: price_again(owner=owner, generation=one, prices=prices) for one in ended}


def _groups(found: Iterable[Generation]) -> list[Group]:
    generations = list(found)
    running = [
        image.pk
        for generation in generations
        for image in generation.images.all()
        if image.state == Image.State.RUNNING
    ]
    progress = read_progress(running)
    places, again = _read_places(generations), _read_prices_again(generations)
    return [
        Group(
            generation,
            [
                Tile(
                    image,
                    progress.get(str(image.pk), {}),
                    places.get(image.pk),
                    again.get(generation.pk),
                )
                for image in generation.images.all()
            ],
        )
        for generation in generations
    ]
