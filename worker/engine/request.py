"""What is asked of the engine and what it answers. Plain values, no behaviour."""

from dataclasses import dataclass
from typing import Literal

from worker.engine.errors import InvalidRequest

Stage = Literal["waiting", "loading", "encoding", "denoising", "decoding"]
ModelKind = Literal["folder", "file", "hub"]

# torch.Generator.manual_seed takes no more.
LARGEST_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model's weights are.

    `location` is a folder in diffusers format, a `.safetensors` file or a hub id such as
    `stabilityai/stable-diffusion-xl-base-1.0`, as `kind` says. `revision` counts for hub ids only.
    """

    slug: str
    family: str
    kind: ModelKind
    location: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to make. Raises `InvalidRequest` when built from values that can never work."""

    request_id: str
    owner_id: str
    model: ModelSource
    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance_scale: float
    seed: int
    sampler: str

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise InvalidRequest(f"The size {self.width_px}x{self.height_px} is not a picture.")
        if self.steps < 1:
            raise InvalidRequest(f"Steps must be at least 1, not {self.steps}.")
        if not 0 <= self.guidance_scale < float("inf"):
            raise InvalidRequest(f"The guidance scale {self.guidance_scale} is not usable.")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InvalidRequest(f"The seed must lie between 0 and {LARGEST_SEED}.")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a request stands. `preview` is a small WebP (at most 6 KB) or None."""

    request_id: str
    stage: Stage
    step: int
    steps: int
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds spent in each stage."""

    wait_s: float = 0.0
    load_s: float = 0.0
    encode_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """A finished picture: `pixels` are `height_px` rows of `width_px` RGB byte triples.

    `fingerprint` names what made it: device, gpu, torch, diffusers, dtype. `blacked_out` is True
    where the model brings its own safety checker and that replaced the picture with black.
    """

    request_id: str
    pixels: bytes
    width_px: int
    height_px: int
    timings: Timings
    fingerprint: dict[str, str]
    blacked_out: bool = False
