"""How much noise a model expects at each time of its schedule, read from the model's own files.

A model learns to take noise away from x_t = signal * x_0 + noise * e, with x_0 an image (as
latents), e plain noise and t a time of its schedule. The schedules, as diffusers names them:

    linear              Ho et al. 2020 (DDPM)
    scaled_linear       Rombach et al. 2022 (latent diffusion): linear in the square roots
    squaredcos_cap_v2   Nichol & Dhariwal 2021 (improved DDPM)
    rescale to zero SNR Lin et al. 2024 (common diffusion noise schedules are flawed)
    flow                Lipman et al. 2023, Esser et al. 2024: a straight line from image to noise
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

from webapp.catalog.architectures import architecture_of
from webapp.catalog.models import DiffusionModel

logger = logging.getLogger(__name__)

CONFIG = Path("scheduler", "scheduler_config.json")
FLOW = "flow"
TIMES = 1000
LARGEST_BETA = 0.999
SMALLEST_SIGNAL = 1e-9


@dataclass(frozen=True, slots=True)
class Level:
    """What stands at one time (0 to `Schedule.times`): `signal` and `noise` are the factors, 0 to
    1, of the image and of the noise in x_t as above."""

    time: float
    signal: float
    noise: float

    @property
    def noise_share(self) -> float:
        """The noise's part of the variance, 0 to 1 (image and noise taken at unit variance)."""
        return self.noise**2 / (self.signal**2 + self.noise**2)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`name` as above. `alpha_bars[t]` is the image's part of the variance at time t, the product
    of all 1 - beta up to there; empty for a flow, which has none. `spacing` is how the model's
    files say that steps are laid over the times ("" if they don't), `offset` what is added to
    each; `shift` is how far a flow's times lean towards noise (Esser et al. 2024, 5.3.2)."""

    name: str
    times: int
    alpha_bars: tuple[float, ...] = ()
    spacing: str = ""
    offset: int = 0
    shift: float = 1.0

    @property
    def is_zero_snr(self) -> bool:
        """Whether nothing of the image is left at the last time, though this is no flow."""
        return bool(self.alpha_bars) and self.alpha_bars[-1] < SMALLEST_SIGNAL

    def level(self, time: float) -> Level:
        """The level at a time from 0 to `times`; between two whole times alpha-bar is taken on
        the straight line between theirs. Raises ValueError for a time outside."""
        if not 0 <= time <= self.times:
            raise ValueError(f"{time} is not a time from 0 to {self.times}")
        if self.name == FLOW:
            sigma = time / self.times
            return Level(time, 1 - sigma, sigma)
        alpha_bar = self.alpha_bar(time)
        return Level(time, math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar))

    def alpha_bar(self, time: float) -> float:
        """Alpha-bar at a time of a schedule that has it; beyond the last time it stays."""
        last = len(self.alpha_bars) - 1
        before = min(math.floor(time), last)
        after = min(before + 1, last)
        part = time - math.floor(time)
        return self.alpha_bars[before] * (1 - part) + self.alpha_bars[after] * part


def schedule_of(model: DiffusionModel) -> Schedule | None:
    """The schedule that the model was trained with; None if its files are not here, or say
    nothing that is understood (which is logged)."""
    if model.source == DiffusionModel.Source.FILE:
        return _family_schedule(model.family)
    path = Path(model.path) / CONFIG
    try:
        if not model.path:
            return None
        return _read_schedule(path, path.stat().st_mtime_ns, model.architecture.steps_offset)
    except (OSError, ValueError, TypeError) as error:
        logger.warning("the schedule of %s cannot be read: %s", model.slug, error)
        return None


def build_schedule(config: dict[str, Any]) -> Schedule | None:
    """The schedule that a scheduler's configuration describes; None if it is another kind
    (such as the continuous sigmas of Karras et al. 2022), or if there is no configuration."""
    class_name = str(config.get("_class_name", ""))
    times = int(config.get("num_train_timesteps", TIMES))
    if "FlowMatch" in class_name or config.get("use_flow_sigmas"):
        shift = float(config.get("shift") or config.get("flow_shift") or 1)
        return Schedule(FLOW, times, shift=shift)
    if not config or class_name.startswith("EDM"):
        return None
    name = str(config.get("beta_schedule", "linear"))
    betas = config.get("trained_betas") or _betas(name, times, config)
    if not betas:
        return None
    alpha_bars = tuple(accumulate((1 - float(beta) for beta in betas), mul))
    if config.get("rescale_betas_zero_snr"):
        alpha_bars = _without_signal_at_the_end(alpha_bars)
    spacing, offset = str(config.get("timestep_spacing") or ""), int(config.get("steps_offset", 0))
    return Schedule(name, len(alpha_bars), alpha_bars, spacing, offset)


@lru_cache
def _family_schedule(family: str) -> Schedule | None:
    return build_schedule(dict(architecture_of(family).schedule))


@lru_cache(maxsize=64)
def _read_schedule(path: Path, _changed_ns: int, steps_offset: int | None) -> Schedule | None:
    config = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise TypeError(f"{path} holds no configuration")
    if steps_offset is not None:
        config["steps_offset"] = steps_offset
    return build_schedule(config)


def _betas(name: str, times: int, config: dict[str, Any]) -> list[float]:
    """Beta at each time; [] for a schedule of another name."""
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    if name == "linear":
        return _line(start, end, times)
    if name == "scaled_linear":
        return [root**2 for root in _line(math.sqrt(start), math.sqrt(end), times)]
    if name == "squaredcos_cap_v2":
        bars = [_cosine(number / times) for number in range(times + 1)]
        return [min(1 - bars[n + 1] / bars[n], LARGEST_BETA) for n in range(times)]
    return []


def _line(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * number / max(1, count - 1) for number in range(count)]


def _cosine(part: float) -> float:
    return math.cos((part + 0.008) / 1.008 * math.pi / 2) ** 2


def _without_signal_at_the_end(alpha_bars: Sequence[float]) -> tuple[float, ...]:
    """Shifted and stretched in the square roots, so that the last time is noise alone and the
    first one stays as it was."""
    roots = [math.sqrt(bar) for bar in alpha_bars]
    stretch = roots[0] / (roots[0] - roots[-1])
    return tuple(((root - roots[-1]) * stretch) ** 2 for root in roots)
