"""Draws with a runner alone, without the engine, and with diffusers' own pipelines, to compare."""

import functools
import itertools
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

from worker.engine.request import ImageRequest, Mask, ModelSource, RenderedImage, StartImage
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import samplers_for

WIDTH_PX, HEIGHT_PX = 128, 64
_numbers = itertools.count()


def ask(path: Path, *, family: str = "sd", **changes: Any) -> ImageRequest:
    values: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "owner_id": "alice",
        "model": ModelSource("tiny", family, "folder", str(path)),
        "prompt": "a cat and the 고양이",
        "negative_prompt": "a dog",
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "steps": 6,
        "guidance_scale": 5.0,
        "seed": 7,
        "sampler": "ddim",
    }
    return ImageRequest(**(values | changes))


def ask_for(mode: str, path: Path, **changes: Any) -> ImageRequest:
    """A request of that mode, with the images that it takes."""
    shrink = 2 if mode == "upscale" else 1
    comes_along: dict[str, Any] = {"mode": mode}
    if mode != "text":
        comes_along |= {"strength": 0.7, "start": start_picture(shrink)}
    if mode == "inpaint":
        comes_along["mask"] = mask()
    return ask(path, **(comes_along | changes))


def start_picture(shrink: int = 1) -> StartImage:
    """Coloured slopes and a square."""
    size = (WIDTH_PX // shrink, HEIGHT_PX // shrink)
    picture = Image.merge(
        "RGB",
        [
            Image.linear_gradient("L").resize(size),
            Image.radial_gradient("L").resize(size),
            Image.new("L", size, 90),
        ],
    )
    picture.paste((250, 20, 60), (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    return StartImage(picture.tobytes(), *size)


def mask() -> Mask:
    """Redraws the right half and a strip at the top, at an edge that no latent lies on."""
    picture = Image.new("L", (WIDTH_PX, HEIGHT_PX))
    picture.paste(255, (WIDTH_PX // 2 + 3, 0, WIDTH_PX, HEIGHT_PX))
    picture.paste(255, (0, 0, WIDTH_PX, 13))
    return Mask(picture.tobytes(), WIDTH_PX, HEIGHT_PX)


# With the runner


def begin(runner: DiffusersRunner, request: ImageRequest) -> Denoising:
    runner.make_resident(request.model)
    return runner.begin(request)


def step(runner: DiffusersRunner, batch: Sequence[Denoising], *, shape: Hashable = None) -> None:
    """One step of all of them."""
    assert runner.step(batch, shape=shape) == [None] * len(batch)


def step_all(runner: DiffusersRunner, batch: Sequence[Denoising]) -> None:
    """All steps of the whole batch; who is done leaves it."""
    while under_way := [each for each in batch if each.done < each.calls]:
        step(runner, under_way)


def draw(runner: DiffusersRunner, request: ImageRequest) -> tuple[torch.Tensor, RenderedImage]:
    """The last latents and the image, drawn alone."""
    denoising = begin(runner, request)
    step_all(runner, [denoising])
    return denoising.latents, runner.finish(denoising)


# With diffusers alone


@dataclass(frozen=True, slots=True)
class Reference:
    """What a pipeline of diffusers made: the last latents, and RGB bytes."""

    latents: torch.Tensor
    pixels: bytes


def diffusers_drawing(
    pipeline_class: str,
    request: ImageRequest,
    *,
    is_built_anew: bool = False,
    settings: dict[str, Any] | None = None,
    **extra: Any,
) -> Reference:
    """What plain diffusers makes of the same request; `extra` goes to the pipeline's call.

    `settings`: of the scheduler, against what its files say. `is_built_anew`: the pipeline is
    built with the sampler's scheduler, and corrects what it finds in it.
    """
    pipe, trained = load_pipeline(pipeline_class, Path(request.model.location))
    sampler = samplers_for(trained)[request.sampler]
    last: list[torch.Tensor] = []

    def keep(_pipe: object, _index: int, _time: object, tensors: dict[str, Any]) -> dict[str, Any]:
        last[:] = [tensors["latents"]]
        return {}

    with known_warnings():
        options = sampler.options | (settings or {})
        pipe.scheduler = sampler.scheduler_class.from_config(trained.config, **options)
        if is_built_anew:
            pipe = type(pipe)(**pipe.components, requires_safety_checker=False)
            pipe.set_progress_bar_config(disable=True)
        made = pipe(
            request.prompt,
            negative_prompt=request.negative_prompt or None,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            callback_on_step_end=keep,
            **(_pictures(request) | sampler.step_options | extra),
        )
    picture: Image.Image = made.images[0]
    return Reference(last[0], picture.tobytes())


@contextmanager
def known_warnings() -> Iterator[None]:
    """Lets diffusers use what NumPy and diffusers itself will drop one day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array_", DeprecationWarning)
        warnings.filterwarnings("ignore", "`upcast_vae` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "The configuration file of this scheduler", FutureWarning)
        yield


@functools.cache
def load_pipeline(pipeline_class: str, path: Path) -> tuple[Any, Any]:
    """The pipeline, and the scheduler that came with it."""
    with known_warnings():
        pipe = getattr(diffusers, pipeline_class).from_pretrained(path)
    pipe.set_progress_bar_config(disable=True)
    return pipe, pipe.scheduler


def _pictures(request: ImageRequest) -> dict[str, Any]:
    """The arguments that say what image comes out and which ones go in."""
    size = {"width": request.width_px, "height": request.height_px}
    if request.start is None:
        return size
    start = request.start
    picture = Image.frombytes("RGB", (start.width_px, start.height_px), start.pixels)
    if request.mode == "upscale":
        picture = picture.resize((request.width_px, request.height_px), Image.Resampling.LANCZOS)
    given: dict[str, Any] = {"image": picture, "strength": request.strength}
    if request.mask is None:
        return given
    masked = Image.frombytes("L", (WIDTH_PX, HEIGHT_PX), request.mask.pixels)
    return size | given | {"mask_image": masked}


def assert_same(drawn: tuple[torch.Tensor, RenderedImage], reference: Reference) -> None:
    """Bit for bit, and finite: not-a-numbers would compare unequal and zeros all alike."""
    latents, image = drawn
    assert torch.equal(latents, reference.latents)
    assert latents.isfinite().all()
    assert image.pixels == reference.pixels
