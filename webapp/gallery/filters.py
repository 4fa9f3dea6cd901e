"""Which images a wall shows: read from the address, written back into it."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.days import read_optional_day
from webapp.core.errors import InvalidInput
from webapp.core.ids import find_id
from webapp.core.texts import check_length, read_choice
from webapp.generation.models import Generation

FAVOURITES, BIN = "favourites", "bin"
SHAPES = {
    "square": gettext_lazy("Square"),
    "portrait": gettext_lazy("Portrait"),
    "landscape": gettext_lazy("Landscape"),
}
MOST_LETTERS = 200
STYLE = re.compile("[a-z0-9_-]{0,32}")


@dataclass(frozen=True, slots=True)
class WallFilter:
    """Where to look (`place`: "" is every image outside the bin, else "favourites", "bin" or
    the id of a collection) and what for; "" and None do not narrow."""

    place: str = ""
    words: str = ""
    model: str = ""
    style: str = ""
    shape: str = ""
    mode: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def is_bin(self) -> bool:
        """True if it looks into the bin."""
        return self.place == BIN

    @property
    def clock(self) -> str:
        """The time of an image that its place is sorted by."""
        return "binned_at" if self.is_bin else "finished_at"

    @property
    def collection_id(self) -> uuid.UUID | None:
        """The collection that it looks into."""
        return uuid.UUID(self.place) if self.place not in {"", FAVOURITES, BIN} else None

    @property
    def is_narrow(self) -> bool:
        """True if it leaves images of its place out."""
        return self != WallFilter(place=self.place)

    @property
    def query(self) -> str:
        """As it stands in an address, without the question mark; "" for every image."""
        pairs = ((NAMES[one.name], getattr(self, one.name)) for one in fields(self))
        return urlencode([(name, str(value)) for name, value in pairs if value])

    @property
    def place_only(self) -> "WallFilter":
        """The same place with everything in it."""
        return WallFilter(place=self.place)

    def without(self, name: str) -> "WallFilter":
        """Everything but that one condition."""
        return replace(self, **{name: getattr(WallFilter(), name)})


# Field of the filter -> parameter of the address.
NAMES = {
    "place": "in",
    "words": "q",
    "model": "model",
    "style": "style",
    "shape": "shape",
    "mode": "mode",
    "since": "from",
    "until": "to",
}


def read_filter(data: Mapping[str, str]) -> WallFilter:
    """The filter of an address or a form; raises InvalidInput for what no page of ours writes.
    Whether a collection is there, and whose, is not looked at."""
    return WallFilter(
        place=_read_place(data.get("in", "")),
        words=_read_text(data.get("q", ""), field="q", most=MOST_LETTERS),
        model=_read_text(data.get("model", ""), field="model", most=MOST_LETTERS),
        style=_read_style(data.get("style", "")),
        shape=_read_choice(data.get("shape", ""), field="shape", allowed=list(SHAPES)),
        mode=_read_choice(data.get("mode", ""), field="mode", allowed=Generation.Mode.values),
        since=read_optional_day(data.get("from", ""), field="from"),
        until=read_optional_day(data.get("to", ""), field="to"),
    )


def _read_place(text: str) -> str:
    if text in {"", FAVOURITES, BIN}:
        return text
    collection_id = find_id(text)
    if collection_id is None:
        raise InvalidInput(_("There is no such section in the gallery."), field="in")
    return str(collection_id)


def _read_text(text: str, *, field: str, most: int) -> str:
    check_length(text, "search", most=most, field=field)
    return text.strip()


def _read_style(text: str) -> str:
    if not STYLE.fullmatch(text):
        raise InvalidInput(_("There is no such style."), field="style")
    return text


def _read_choice(text: str, *, field: str, allowed: list[str]) -> str:
    return read_choice(text, field=field, allowed=allowed) if text else ""
