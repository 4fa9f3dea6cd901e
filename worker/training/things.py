"""The things that the starter model knows, read from `things.txt`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

Locale = Literal["en", "ko"]
TABLE: Final = Path(__file__).with_name("things.txt")


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing. `icons` are what the icon sets call its poses, `names` what people call it, the
    usual name first; `counter` is the Korean word that counts it."""

    slug: str
    section: str
    icons: tuple[str, ...]
    names: dict[Locale, tuple[str, ...]]
    counter: str


@cache
def all_things() -> tuple[Thing, ...]:
    """Every thing, in the order of the table. Raises ValueError for a line that is none."""
    things: list[Thing] = []
    section = counter = ""
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            section, counter = (part.strip() for part in line.strip("[]").split("|"))
        elif line and not line.startswith("#"):
            things.append(_read_thing(line, section, counter))
    return tuple(things)


@cache
def thing_by_slug() -> dict[str, Thing]:
    """The same, to be looked up."""
    return {thing.slug: thing for thing in all_things()}


def thing_number(slug: str) -> int:
    """Where a thing stands in `all_things`: its class for the judge."""
    return _numbers()[slug]


@cache
def _numbers() -> dict[str, int]:
    return {thing.slug: number for number, thing in enumerate(all_things())}


def _read_thing(line: str, section: str, counter: str) -> Thing:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != 5 or not fields[0] or not fields[3]:
        raise ValueError(f"{TABLE.name}: five fields and a Korean name, please: {line!r}")
    slug, icons, english, korean, own_counter = fields
    return Thing(
        slug=slug,
        section=section,
        icons=_listed(icons) or (slug.replace(" ", "-"),),
        names={"en": _listed(english) or (slug,), "ko": _listed(korean)},
        counter=own_counter or counter,
    )


def _listed(field: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in field.split(",") if part.strip())
