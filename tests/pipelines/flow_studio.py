"""Draws with models of flow matching: step by step, together, and with diffusers' own pipelines."""

import itertools
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image, ImageDraw
from torch import Tensor

from worker.engine.request import ImageRequest, Mask, ModelSource, StartImage
from worker.pipelines.denoising import Denoising
from worker.pipelines.runner import DiffusersRunner
from worker.pipelines.samplers import build_scheduler

TAKE_NEGATIVE_PROMPTS = frozenset({"sd3", "z_image", "qwen_image"})
_numbers = itertools.count()


@dataclass
class Studio:
    """A runner, and the models to ask it for by name."""

    runner: DiffusersRunner
    folders: dict[str, Path]

    def ask(self, name: str, *, mode: str = "text", **changes: Any) -> ImageRequest:
        family = name.partition("-")[0]
        values: dict[str, Any] = {
            "request_id": f"request-{next(_numbers)}",
            "owner_id": "alice",
            "model": ModelSource(name, family, "folder", str(self.folders[name])),
            "prompt": "a cat and a hat",
            "negative_prompt": "a dog" if family in TAKE_NEGATIVE_PROMPTS else "",
            "width_px": 128,
            "height_px": 64,
            "steps": 4,
            "guidance_scale": 5.0,
            "seed": 7,
            "sampler": "flow_euler",
            "mode": mode,
        }
        values |= changes
        return ImageRequest(**(handed_in(values) | values))

    def begin(self, request: ImageRequest) -> Denoising:
        self.runner.make_resident(request.model)
        return self.runner.begin(request)

    def draw(self, request: ImageRequest) -> tuple[bytes, Tensor]:
        """The pixels and the last latents of an image drawn alone."""
        denoising = self.begin(request)
        while denoising.done < denoising.calls:
            assert self.runner.step([denoising]) == [None]
        return self.runner.finish(denoising).pixels, denoising.latents


def handed_in(values: dict[str, Any]) -> dict[str, Any]:
    """The start image and mask that belong to the mode."""
    if values["mode"] == "text":
        return {}
    size = (values["width_px"], values["height_px"])
    if values["mode"] == "upscale":
        size = (size[0] // 2, size[1] // 2)
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(picture).ellipse((10, 10, 50, 40), fill="red")
    came = {"start": StartImage(picture.tobytes(), *size), "strength": 0.6}
    if values["mode"] == "inpaint":
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).rectangle((30, 0, 90, 40), fill=255)
        came["mask"] = Mask(mask.tobytes(), *size)
    return came


def drawn_by(
    pipe: DiffusionPipeline, request: ImageRequest, **arguments: Any
) -> tuple[bytes, Tensor]:
    """The pixels and the last latents of what `pipe` makes of the request. `arguments`: what it is
    called with beside words, size, steps, seed and images."""
    pipe.set_progress_bar_config(disable=True)
    use_sampler(pipe, request)
    last: dict[str, Tensor] = {}

    def remember(_pipe: Any, _index: int, _t: object, tensors: dict[str, Tensor]) -> dict[str, Any]:
        last.update(tensors)
        return {}

    picture = pipe(
        prompt=request.prompt,
        width=request.width_px,
        height=request.height_px,
        num_inference_steps=request.steps,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        callback_on_step_end=remember,
        **(arguments | picture_arguments(request)),
    ).images[0]
    return picture.tobytes(), last["latents"]


def use_sampler(pipe: DiffusionPipeline, request: ImageRequest) -> None:
    if request.sampler == "flow_euler":  # the one that the models come with
        return
    pipe.scheduler = build_scheduler(pipe.scheduler, request.sampler, steps=request.steps)
    set_timesteps = pipe.scheduler.set_timesteps

    def without_mu(*arguments: Any, mu: object = None, **options: Any) -> None:
        set_timesteps(*arguments, **options)

    # Flux hands `mu` to all; solvers on a fixed schedule refuse it, FlowMatch Euler ignores it.
    if "mu" in signature(set_timesteps).parameters and not pipe.scheduler.config.get(
        "use_dynamic_shifting"
    ):
        pipe.scheduler.set_timesteps = without_mu


def picture_arguments(request: ImageRequest) -> dict[str, Any]:
    if request.start is None:
        return {}
    start = request.start
    picture = Image.frombytes("RGB", (start.width_px, start.height_px), start.pixels)
    size = (request.width_px, request.height_px)
    if request.mode == "upscale":
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    arguments: dict[str, Any] = {"image": picture, "strength": request.strength}
    if request.mask is not None:
        arguments["mask_image"] = Image.frombytes("L", size, request.mask.pixels)
    return arguments


def draw_together(studio: Studio, requests: list[ImageRequest]) -> list[Denoising]:
    """Draw all at once, those with more steps ahead of the others: no two at the same time."""
    waiting = [studio.begin(request) for request in requests]
    done, batch = [*waiting], [waiting.pop(0)]
    while batch:
        assert studio.runner.step(batch) == [None] * len(batch)
        batch = [one for one in batch if one.done < one.calls]
        batch += [waiting.pop(0)] if waiting else []
    return done
