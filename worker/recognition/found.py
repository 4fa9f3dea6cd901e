"""What is said of a file or folder."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["folder", "file"]
Kind = Literal[
    "checkpoint",  # a denoiser, with or without the other parts of its pipeline
    "pipeline",  # a folder in diffusers format
    "lora",
    "embedding",
    "vae",
    "text encoder",
    "controlnet",
    "ip-adapter",
    "upscaler",
    "pickle",
    "archive",
    "damaged",
    "unknown",
]
# "unknown": a model that comes in two kinds, and nothing in the file says which.
Prediction = Literal["", "epsilon", "v_prediction", "edm", "flow", "unknown"]
FewStep = Literal["", "turbo", "lightning", "lcm", "dmd2", "hyper", "schnell", "distilled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`kind` and `architecture` (a slug of `names.NAMES`, "" if that is not to be told) say what it
    is, and `sentence` says it in words. `form`: None if nothing is there.

    `title`: the name that its author gave it, or what its file or repository is called.
    `dtype`: of most of its weights, as safetensors or GGUF name it. `parts`: which parts of a
    pipeline it holds, such as "vae". `in_channels`: what its denoiser takes, 0 if not told.
    `layout`: published or diffusers, as its denoiser's tensors are named behind `prefix`.
    `prediction_type`, `zero_snr`: what it was trained to predict, and with which schedule.
    `few_step`: by what it was distilled, `few_steps` to how many steps (0: not told).
    `variant`: of adapters the algorithm (locon, dora), of others what tells them from the plain
    architecture (inpaint, fill). `identity`: the same for two files of the same header and size.
    """

    kind: Kind
    form: Form | None
    sentence: str
    architecture: str = ""
    variant: str = ""
    title: str = ""
    dtype: str = ""
    parts: tuple[str, ...] = ()
    in_channels: int = 0
    layout: str = ""
    prefix: str = ""
    prediction_type: Prediction = ""
    zero_snr: bool = False
    few_step: FewStep = ""
    few_steps: int = 0
    rank: int = 0
    alpha: float | None = None
    trigger_words: tuple[str, ...] = ()
    base: str = ""
    licence: str = ""
    size_bytes: int = 0
    identity: str = ""
    class_name: str = ""
    native_size_px: int | None = None
