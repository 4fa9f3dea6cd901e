"""The architectures that the worker draws: how each is recognised, loaded and drawn.

`webapp.catalog.architectures` says what the web must know of each; a test holds the two together.
Plain values: no deep-learning library is imported here, for a scan of many models reads this too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# The slug of those that no adapter knows.
OTHER: Final = "other"

TokenizerAndEncoder = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which of a pipeline's components read the prompt. `clip` and `t5` name tokenizer and
    encoder. `penultimate`: the last but one layer counts. `pooled_only`: CLIP gives only the
    pooled embedding. `all_pooled`: of every CLIP, side by side. `t5_tokens`: T5's window."""

    clip: tuple[TokenizerAndEncoder, ...] = ()
    penultimate: bool = False
    pooled_only: bool = False
    all_pooled: bool = False
    t5: TokenizerAndEncoder | None = None
    t5_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """`adapter`: "module:class" of what draws it step by step (`denoising.Adapter`); "" for models
    whose own pipeline draws them whole (`plain`).

    `classes`: of diffusers, in a folder's model_index.json; the first draws from text.
    `files`: the architectures (`worker.recognition.names`) whose single files it loads.
    `overflows_in_float16`: half precision is bfloat16 then, as the numbers of its transformer are
    too large. `vae_overflows`: the VAE works in float32 if its files say so.
    `renumbers_lora_blocks`: its LoRAs may come with blocks numbered otherwise.
    `schedule_settings`: what its schedulers are set to, whatever its files say: the defaults of
    some classes of schedulers were made for pixels, and files that were saved by another class say
    nothing of them. As diffusers' pipelines of Stable Diffusion 1 correct what they are built with.
    """

    slug: str
    adapter: str
    classes: tuple[str, ...] = ()
    reading: Reading = Reading()
    files: tuple[str, ...] = ()
    overflows_in_float16: bool = False
    vae_overflows: bool = False
    renumbers_lora_blocks: bool = False
    schedule_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_stepped(self) -> bool:
        """True if an adapter draws it, many requests a step."""
        return bool(self.adapter)


_CLIP_1: Final = ("tokenizer", "text_encoder")
_CLIP_2: Final = ("tokenizer_2", "text_encoder_2")
_T5_3: Final = ("tokenizer_3", "text_encoder_3")

# Clipped to -1..1 at each step, latents lose most of their spread.
_OF_LATENTS: Final = {"clip_sample": False}

_KNOWN: Final = (
    Architecture(
        slug="sd",
        adapter="worker.pipelines.stable_diffusion:StableDiffusion",
        classes=("StableDiffusionPipeline", "StableDiffusionInpaintPipeline"),
        reading=Reading(clip=(_CLIP_1,)),
        files=("sd1", "sd2"),
        schedule_settings=_OF_LATENTS | {"steps_offset": 1},
    ),
    Architecture(
        slug="sdxl",
        adapter="worker.pipelines.stable_diffusion_xl:StableDiffusionXL",
        classes=("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"),
        reading=Reading(clip=(_CLIP_1, _CLIP_2), penultimate=True),
        files=("sdxl",),
        vae_overflows=True,
        renumbers_lora_blocks=True,
        schedule_settings=_OF_LATENTS,
    ),
    Architecture(
        slug="sd3",
        adapter="worker.pipelines.stable_diffusion_3:StableDiffusion3",
        classes=("StableDiffusion3Pipeline",),
        reading=Reading(
            clip=(_CLIP_1, _CLIP_2), penultimate=True, all_pooled=True, t5=_T5_3, t5_tokens=256
        ),
        files=("sd3",),
        overflows_in_float16=True,
    ),
    Architecture(
        slug="flux",
        adapter="worker.pipelines.flux:Flux",
        classes=("FluxPipeline",),
        reading=Reading(clip=(_CLIP_1,), pooled_only=True, t5=_CLIP_2, t5_tokens=512),
        files=("flux",),
        overflows_in_float16=True,
    ),
    Architecture(
        slug="z_image",
        adapter="worker.pipelines.z_image:ZImage",
        classes=("ZImagePipeline",),
        overflows_in_float16=True,
    ),
    Architecture(
        slug="qwen_image",
        adapter="worker.pipelines.qwen_image:QwenImage",
        classes=("QwenImagePipeline",),
        overflows_in_float16=True,
    ),
    Architecture(
        slug="flux2_klein",
        adapter="worker.pipelines.flux_2:Flux2Klein",
        classes=("Flux2KleinPipeline",),
        overflows_in_float16=True,
    ),
    # Every other text-to-image pipeline of diffusers.
    Architecture(slug=OTHER, adapter="", overflows_in_float16=True),
)
ARCHITECTURES: Final = {architecture.slug: architecture for architecture in _KNOWN}


def architecture_of_class(class_name: str) -> str:
    """The slug for the pipeline class that a folder names; `OTHER` if it has no adapter."""
    for architecture in ARCHITECTURES.values():
        if class_name in architecture.classes:
            return architecture.slug
    return OTHER
