"""What is asked of the engine and what it answers. Plain values, no behaviour."""

from dataclasses import dataclass
from typing import Final, Literal

from worker.engine.errors import InvalidRequest

Stage = Literal["waiting", "loading", "encoding", "denoising", "decoding"]
ModelKind = Literal["folder", "file", "hub"]
Mode = Literal["text", "image", "inpaint", "upscale"]

# torch.Generator.manual_seed takes no more.
LARGEST_SEED: Final = 2**64 - 1
UPSCALE: Final = 2

START_OR_TEXT: Final = "Text to image takes no start image, and every other mode needs one."
MASK_AND_INPAINT: Final = "Inpainting needs a mask, and no other mode takes one."
NO_NEGATIVE_PROMPT: Final = "This model does not take a negative prompt."


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
class LoraSource:
    """A LoRA to lay over the model: `location` is a `.safetensors` file, `scale` its strength."""

    slug: str
    location: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class StartImage:
    """An image to begin with: `height_px` rows of `width_px` RGB byte triples."""

    pixels: bytes
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if len(self.pixels) != 3 * self.width_px * self.height_px:
            raise InvalidRequest("The start image is damaged.")


@dataclass(frozen=True, slots=True)
class Mask:
    """What to draw again: `height_px` rows of `width_px` bytes, 255 is drawn again, 0 is kept."""

    pixels: bytes
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if len(self.pixels) != self.width_px * self.height_px:
            raise InvalidRequest("The mask is damaged.")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to make. Raises `InvalidRequest` when built from values that can never work.

    `mode` says what comes along: "text" nothing; "image" a `start` image, of which `strength`
    (above 0, at most 1) says how much may change; "inpaint" a `mask` too; "upscale" a `start`
    image of half the size asked for. Start image and mask otherwise have the size asked for.
    `exact` renders alone, so that the same request gives the same bits whoever else is drawing.
    `clip_skip`: which of CLIP's layers is told to the denoiser, 1 the one that the model was
    trained with, 2 the one before it, and so on.
    """

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
    mode: Mode = "text"
    start: StartImage | None = None
    mask: Mask | None = None
    strength: float = 1.0
    loras: tuple[LoraSource, ...] = ()
    exact: bool = False
    clip_skip: int = 1

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise InvalidRequest(f"The size {self.width_px}x{self.height_px} is not an image.")
        if self.steps < 1:
            raise InvalidRequest(f"Steps must be at least 1, not {self.steps}.")
        if not 0 <= self.guidance_scale < float("inf"):
            raise InvalidRequest(f"The guidance scale {self.guidance_scale} is not usable.")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InvalidRequest(f"The seed must lie between 0 and {LARGEST_SEED}.")
        if self.clip_skip < 1:
            raise InvalidRequest(f"CLIP skip must be at least 1, not {self.clip_skip}.")
        self._check_start()
        self._check_mask()

    def no_step_left(self) -> InvalidRequest:
        """The error for a strength at which the pipeline's schedule has no step to draw."""
        return InvalidRequest(
            f"At strength {self.strength} none of the {self.steps} steps is left. "
            "Raise the strength or the steps."
        )

    def _check_start(self) -> None:
        if (self.start is None) != (self.mode == "text"):
            raise InvalidRequest(START_OR_TEXT)
        if self.start is None:
            return
        if not 0 < self.strength <= 1:
            raise InvalidRequest("The strength must lie above 0 and be at most 1.")
        factor = UPSCALE if self.mode == "upscale" else 1
        size = (self.start.width_px * factor, self.start.height_px * factor)
        if size != (self.width_px, self.height_px):
            sentence = f"The start image must be 1/{factor} of {self.width_px}x{self.height_px}."
            raise InvalidRequest(sentence)

    def _check_mask(self) -> None:
        if (self.mask is None) != (self.mode != "inpaint"):
            raise InvalidRequest(MASK_AND_INPAINT)
        if self.mask and (self.mask.width_px, self.mask.height_px) != (
            self.width_px,
            self.height_px,
        ):
            raise InvalidRequest("The mask must have the size of the start image.")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a request stands. `preview` is a small WebP (at most 6 KB) of the image after
    `preview_step` steps, which may be fewer than `step` by now; both are None together."""

    request_id: str
    stage: Stage
    step: int
    steps: int
    preview: bytes | None = None
    preview_step: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds spent in each stage; `denoise_s` includes steps of others in between."""

    wait_s: float = 0.0
    load_s: float = 0.0
    encode_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchRows:
    """Rows of the denoiser calls that an image took part in, its own included."""

    mean: float = 0.0
    most: int = 0


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """A finished image: `pixels` are `height_px` rows of `width_px` RGB byte triples.

    `fingerprint` names what made it: device, gpu, torch, diffusers, dtype, compiled, exact, and how
    it was decoded.
    `times` are those that the denoiser was told, one per call, in the model's own schedule; empty
    if the model's own pipeline called it.
    `blacked_out` is True if the model brings its own safety checker and that replaced the
    image with black.
    """

    request_id: str
    pixels: bytes
    width_px: int
    height_px: int
    timings: Timings
    fingerprint: dict[str, str]
    blacked_out: bool = False
    rows: BatchRows = BatchRows()
    times: tuple[float, ...] = ()
