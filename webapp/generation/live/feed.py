"""What the studio shows of a generation: its tiles with their newest progress, and its bill."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webapp.accounts.models import User
from webapp.catalog.pricing import read_prices
from webapp.core.errors import NotFound
from webapp.generation.events import read_progress
from webapp.generation.live.waiting import say_left, say_place, say_wait
from webapp.generation.models import Generation, Image
from webapp.generation.queueing.places import Place, look_at_queue
from webapp.generation.request.repeating import price_again
from webapp.generation.request.styles import style_name
from webapp.generation.selectors import list_feed

GROUPS_SHOWN = 20
UNCHARGED = (Image.State.FAILED, Image.State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the feed; `progress` is the worker's newest word while it is developing, and
    `place` where it stands while it waits; `again_ucr` is what one more would cost where it ended
    without a picture, None where there is no price."""

    image: Image
    progress: dict[str, Any]
    place: Place | None = None
    again_ucr: int | None = None

    @property
    def version(self) -> str:
        """Changes whenever the tile has to be drawn anew."""
        return f"{self.image.state}-{self.image.attempt}"

    @property
    def place_words(self) -> str:
        """See `say_place`."""
        return say_place(self.place)

    @property
    def wait_words(self) -> str:
        """See `say_wait`."""
        return say_wait(self.place)

    @property
    def left_words(self) -> str:
        """See `say_left`."""
        return say_left(self.progress.get("left_s"))


@dataclass(frozen=True, slots=True)
class Group:
    """One generation of the feed."""

    generation: Generation
    tiles: list[Tile]

    @property
    def is_live(self) -> bool:
        """True while at least one image is waiting or developing."""
        return any(tile.image.state in Image.LIVE for tile in self.tiles)

    @property
    def style_name(self) -> str:
        """The name of its style; "" where none was chosen."""
        return style_name(self.generation.style, model=self.generation.model)

    @property
    def charged_ucr(self) -> int:
        """What the finished images cost together."""
        return self.generation.price_each_ucr * self._count(Image.State.STORED)

    @property
    def not_charged(self) -> int:
        """How many images ended without a picture, and so without a charge."""
        return self._count(*UNCHARGED)

    def _count(self, *states: str) -> int:
        return sum(tile.image.state in states for tile in self.tiles)


def list_groups(*, owner: User) -> list[Group]:
    """The owner's newest generations, as the studio opens with them."""
    return _groups(list_feed(owner=owner)[:GROUPS_SHOWN])


def new_group(generation: Generation) -> Group:
    """A generation that was submitted just now, as it was written, without another look: places
    and whatever happened since come to the page by its event stream."""
    return Group(generation, [Tile(image, {}) for image in generation.just_queued])


def get_group(*, owner: User, generation_id: uuid.UUID) -> Group:
    """One generation of the owner; raises NotFound to anybody else."""
    found = _groups(list_feed(owner=owner).filter(pk=generation_id))
    if not found:
        raise NotFound
    return found[0]


def _read_places(generations: list[Generation]) -> dict[uuid.UUID, Place]:
    """Where their queued images stand; all generations are one owner's."""
    for generation in generations:
        if any(image.state == Image.State.QUEUED for image in generation.images.all()):
            owner_id = generation.owner_id
            return look_at_queue(owner_ids=[owner_id]).places.get(owner_id, {})
    return {}


def _read_prices_again(generations: list[Generation]) -> dict[uuid.UUID, int | None]:
    """What one more image of each costs, where some of it ended without a picture; all are one
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
