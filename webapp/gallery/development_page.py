"""What the page "How an image is generated" shows: one run, noise put in beside noise taken out,
at the same times."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from django.urls import reverse
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.architectures import architecture_of
from webapp.catalog.models import DiffusionModel
from webapp.catalog.schedules import FLOW, Level, Schedule, build_schedule, schedule_of
from webapp.core.decoding import ask_child, decoding_turn
from webapp.gallery.development import DevelopmentStrip, build_strip, read_strip
from webapp.generation.models import Generation, Image
from webapp.generation.storage import read_kept

SAMPLE = Path(__file__).parent / "sample"
CURVE_POINTS = 100
LOOKED_AT = 20
KEPT_SHEETS = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that the page is about: the visitor's own `image`, or the studio's sample (None).
    `image` and `sheet` are the names of its small copy and of its strip."""

    image: Image | None
    prompt: str
    model: str
    family: str
    strip: DevelopmentStrip
    schedule: Schedule
    thumbnail: str
    sheet: str

    @property
    def query(self) -> str:
        """What the page's addresses carry to be about the same image."""
        return "" if self.image is None else f"?image={self.image.pk}"

    @property
    def strip_url(self) -> str:
        """Where the strip's bytes are."""
        if self.image is None:
            return reverse("development_strip")
        return reverse("image_strip", args=[self.image.pk])

    @property
    def is_flow(self) -> bool:
        """True for a model trained by flow matching, which has no alpha-bar."""
        return self.schedule.name == FLOW

    @property
    def denoiser_name(self) -> str:
        """What the model's denoiser is."""
        names = {"transformer": _("Transformer"), "unet": _("U-Net"), "any": _("Denoiser")}
        return names[architecture_of(self.family).denoiser]

    @property
    def levels(self) -> tuple[Level, ...]:
        """The level of each frame."""
        return tuple(frame.level for frame in self.strip.frames if frame.level is not None)


def choose_subject(*, owner: User, asked: Image | None) -> Subject:
    """The image that is asked for, else the owner's newest whose run and schedule are known, else
    the sample."""
    if asked is not None:
        return _subject_of(asked) or _sample()
    newest = Image.objects.filter(owner=owner, state=Image.State.STORED, binned_at=None)
    newest = newest.select_related("generation__model", "model").order_by("-finished_at", "-pk")
    subjects = (_subject_of(image) for image in newest[:LOOKED_AT] if image.strip)
    return next((subject for subject in subjects if subject), None) or _sample()


def draw_noising(subject: Subject) -> bytes:
    """The forward process of that image: its frames as the strip's, WebP. Raises NotFound if its
    files are gone, TooMany and Unavailable if no turn to draw it comes soon."""
    return _noising_sheet(subject.thumbnail, subject.sheet, subject.levels)


def sample_strip() -> bytes:
    """The sample's strip, WebP."""
    return (SAMPLE / "strip.webp").read_bytes()


def draw_curve(schedule: Schedule) -> str:
    """The noise's share at each time, as the points of a line in a drawing of 100 by 100: times
    from left to right, all noise on top."""
    times = [schedule.times * point / CURVE_POINTS for point in range(CURVE_POINTS + 1)]
    return " ".join(_point(schedule, schedule.level(time)) for time in times)


def place_dots(schedule: Schedule, levels: Sequence[Level]) -> list[tuple[str, str]]:
    """Where the levels lie on that line: (x, y) of each."""
    places = [_point(schedule, level).split(",") for level in levels]
    return [(x, y) for x, y in places]


def _point(schedule: Schedule, level: Level) -> str:
    return f"{100 * level.time / schedule.times:.2f},{100 - 100 * level.noise_share:.2f}"


def _subject_of(image: Image) -> Subject | None:
    """None where no previews were kept, or where the model's schedule is not known."""
    strip, schedule = read_strip(image), schedule_of(image.model)
    if strip is None or schedule is None or any(frame.level is None for frame in strip.frames):
        return None
    return Subject(
        image=image,
        prompt=image.generation.prompt,
        model=image.model.name,
        family=image.model.family,
        strip=strip,
        schedule=schedule,
        thumbnail=image.thumbnail,
        sheet=image.strip,
    )


def _sample() -> Subject:
    facts = _sample_facts()
    model = DiffusionModel(name=facts["model"], family=facts["family"])
    schedule = build_schedule(facts["schedule"])
    assert schedule is not None  # noqa: S101 - a test reads the sample
    pairs = [(int(step), float(time)) for step, time in facts["steps"]]
    drawn = Generation(
        model=model,
        prompt=facts["prompt"],
        width_px=facts["width_px"],
        height_px=facts["height_px"],
    )
    strip = build_strip(pairs, schedule=schedule, generation=drawn)
    return Subject(None, drawn.prompt, model.name, model.family, strip, schedule, "", "")


@cache
def _sample_facts() -> dict:  # type: ignore[type-arg]
    facts: dict = json.loads((SAMPLE / "sample.json").read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return facts


@lru_cache(maxsize=KEPT_SHEETS)
def _noising_sheet(thumbnail: str, sheet: str, levels: tuple[Level, ...]) -> bytes:
    """Drawn once for each image: the names are of files that never change."""
    body = read_kept(thumbnail) if thumbnail else (SAMPLE / "picture.webp").read_bytes()
    strip = read_kept(sheet) if sheet else sample_strip()
    pairs = [(level.signal, level.noise) for level in levels]
    with decoding_turn(f"noising {thumbnail}") as child:
        _facts, (drawn,) = ask_child(child, "noising", [body, strip], levels=pairs)
        return drawn
