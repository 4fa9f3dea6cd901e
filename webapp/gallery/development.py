"""How an image came out of noise: its strip, frame by frame, and what happened at each of them.

The frames are the run's own previews, in which colours are estimated from the latents by a linear
map; only the last one is the image itself, decoded by the VAE and made small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.catalog.schedules import Level, Schedule, schedule_of
from webapp.generation.models import Generation, Image

MOSTLY_NOISE, HALF_NOISE = 0.9, 0.4
DENOISERS: dict[str, Any] = {
    "transformer": gettext_lazy("the transformer"),
    "unet": gettext_lazy("the U-Net"),
    "any": gettext_lazy("the denoiser"),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a strip: after `step` of `steps`; `level` is what the model's own schedule
    says of that moment, None where that is not known. `what` says it in a sentence."""

    place: int
    step: int
    steps: int
    level: Level | None
    what: str

    @property
    def is_last(self) -> bool:
        """True for the finished image."""
        return self.step == self.steps

    @property
    def window(self) -> str:
        """Where the frame lies, as a view box on a sheet whose frames are one unit wide."""
        return f"{self.place} 0 1 1"

    @property
    def noise_percent(self) -> str:
        """The noise's share of the variance; "" where it is not known."""
        return "" if self.level is None else f"{100 * self.level.noise_share:.0f}"

    @property
    def image_percent(self) -> str:
        """What the noise leaves of it; "" where that is not known."""
        return "" if self.level is None else f"{100 - int(self.noise_percent)}"

    @property
    def alpha_bar(self) -> float | None:
        """The square of the image's factor, which is what schedules write down."""
        return None if self.level is None else self.level.signal**2

    @property
    def time_words(self) -> str:
        """The time of the schedule; "" where it is not known. The image itself is at none."""
        if self.level is None:
            return ""
        return "–" if self.is_last else f"{self.level.time:g}"

    @property
    def title(self) -> str:
        """Such as "Step 3 of 20"."""
        if self.is_last:
            return _("The finished image")
        if not self.step:
            return _("Before the first step")
        return _("Step %(step)d of %(steps)d") % {"step": self.step, "steps": self.steps}

    @property
    def name(self) -> str:
        """Such as "Step 3 of 20, 96 % noise"."""
        if self.is_last or not self.noise_percent:
            return self.title
        noise = _("%(percent)s %% noise") % {"percent": self.noise_percent}
        return f"{self.title}, {noise}"


@dataclass(frozen=True, slots=True)
class DevelopmentStrip:
    """The frames of one image, from the noise to the end; a frame has the image's shape."""

    frames: Sequence[Frame]
    frame_width: int
    frame_height: int

    @property
    def count(self) -> int:
        """How many frames lie side by side."""
        return len(self.frames)

    @property
    def width_px(self) -> int:
        """The width of all of them beside each other, at the image's size."""
        return self.count * self.frame_width

    @property
    def middle(self) -> Frame:
        """The one that is nearest to as much noise as image, or half-way where that is not
        known: where there is most to see."""
        halfway = self.frames[self.count // 2]
        known = [frame for frame in self.frames if frame.level is not None]
        return min(known, key=_from_even, default=halfway)

    @property
    def last(self) -> Frame:
        """The finished image's."""
        return self.frames[-1]


def _from_even(frame: Frame) -> float:
    return 1.0 if frame.level is None else abs(frame.level.noise_share - 0.5)


def read_strip(image: Image) -> DevelopmentStrip | None:
    """The image's strip; None for images that have none (older ones, and those whose previews
    were off)."""
    if not image.strip or not image.strip_steps:
        return None
    schedule = schedule_of(image.model)
    pairs = [(int(step), time) for step, time in image.strip_steps]
    return build_strip(pairs, schedule=schedule, generation=image.generation)


def build_strip(
    pairs: Sequence[tuple[int, float | None]], *, schedule: Schedule | None, generation: Generation
) -> DevelopmentStrip:
    """The frames of (step, time) pairs, of which the last is the finished image."""
    steps = pairs[-1][0]
    frames = []
    for place, (step, time) in enumerate(pairs):
        level = _level(schedule, time, is_last=step == steps)
        what = explain(step=step, steps=steps, level=level, generation=generation)
        frames.append(Frame(place, step, steps, level, what))
    return DevelopmentStrip(frames, generation.width_px, generation.height_px)


def explain(*, step: int, steps: int, level: Level | None, generation: Generation) -> str:
    """One true sentence about what the model's parts did at that moment."""
    denoiser = {"denoiser": DENOISERS[generation.model.architecture.denoiser]}
    if step == steps:
        return _("The VAE turned the finished latents into pixels: this is the image.")
    if step == 0:
        return _at_the_start(generation)
    share = 1 - step / steps if level is None else level.noise_share
    if share >= MOSTLY_NOISE:
        return (
            _(
                "Large shapes come first: at each step %(denoiser)s estimates the noise, guided "
                "by the prompt, and the scheduler removes a part of it."
            )
            % denoiser
        )
    if share >= HALF_NOISE:
        return (
            _(
                "The composition is fixed; %(denoiser)s now works out the outlines and colours "
                "that the noise still hides."
            )
            % denoiser
        )
    return (
        _("Details come last: little noise is left, and %(denoiser)s sharpens edges and textures.")
        % denoiser
    )


def _at_the_start(generation: Generation) -> str:
    if generation.mode == Generation.Mode.TEXT:
        return _(
            "The text encoder has turned the prompt into vectors. The image is nothing "
            "but noise, made from the seed."
        )
    return _(
        "The text encoder has turned the prompt into vectors. The start image became "
        "latents, and noise made from the seed was mixed in."
    )


def _level(schedule: Schedule | None, time: float | None, *, is_last: bool) -> Level | None:
    if schedule is None or time is None or not 0 <= time <= schedule.times:
        return None
    # The last step takes away all noise that is left, whatever time 0 still has in training.
    return Level(0, 1, 0) if is_last else schedule.level(time)
