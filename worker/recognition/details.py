"""What a checkpoint was trained to predict, for how few steps, by whose words: read from its keys,
from `modelspec.*` and kohya's `ss_*`, and at last from its name."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

from worker.recognition.found import FewStep, Prediction
from worker.recognition.headers import Header

# What diffusion is trained with here: anything else moves along a flow.
BY_NOISE: Final = frozenset({"sd1", "sd2", "sdxl", "sdxl-refiner", "sd-upscaler"})
_V_NAMED: Final = re.compile(r"(?:^|[^a-z])v[ ._-]?pred")
# As Stability's own files of version 2 are called.
_V_NAMED_2: Final = re.compile(r"768[ ._-]?v(?![a-z0-9])|v2[ ._-]?1[ ._-]768|768-nonema")
_EPSILON_NAMED: Final = re.compile(
    r"512[ ._-]?base|sd[ ._-]?turbo|[ ._-]eps(?:ilon)?(?:[ ._-]|pred|$)"
)
_ZERO_NAMED: Final = re.compile(r"zsnr|ztsnr|zero[ ._-]?(?:terminal[ ._-]?)?snr")
# A distillation -> how files are named that were made with it.
_FEW_STEPS: Final[tuple[tuple[FewStep, re.Pattern[str]], ...]] = (
    ("lightning", re.compile(r"lightning")),
    ("dmd2", re.compile(r"(?:^|[^a-z])dmd2?(?![a-z])")),
    ("hyper", re.compile(r"hyper[ ._-]?(?:sd|xl|sdxl|flux|dream)?(?:[ ._-]|\d|$)")),
    ("lcm", re.compile(r"(?:^|[^a-z])lcm(?![a-z])")),
    ("schnell", re.compile(r"schnell")),
    ("turbo", re.compile(r"turbo")),
)
_COUNT: Final = re.compile(r"(?:^|[^0-9])(\d{1,2})[ ._-]?steps?(?![a-z])")
MOST_FEW_STEPS: Final = 16
_HASH: Final = re.compile(r"[0-9a-f]{12,64}")
_NOT_TITLES: Final = frozenset({"", "none", "unknown", "untitled"})


def said_name(path: Path, header: Header | None) -> str:
    """What names and titles say, for the words that tell a kind. Descriptions speak of others."""
    metadata = header.metadata if header else {}
    keys = ("modelspec.title", "modelspec.architecture", "ss_sd_model_name")
    return " ".join([title_of(path), *(metadata.get(key, "") for key in keys)]).lower()


def title_of(path: Path, metadata: dict[str, str] | None = None) -> str:
    """The author's title; else the repository of a hub cache, or the name of the file or folder:
    never a commit's hash."""
    said = (metadata or {}).get("modelspec.title", "").strip()
    if said.lower() not in _NOT_TITLES:
        return said[:100]
    for part in path.parts:
        if part.startswith("models--"):
            return part.rpartition("--")[2][:100]
    return _plain_name(path)[:100]


def _plain_name(path: Path) -> str:
    name = path.stem if path.suffix.lower() in {".safetensors", ".sft", ".gguf"} else path.name
    is_hash = _HASH.fullmatch(name) is not None
    return _plain_name(path.parent) if is_hash and path.parent.name else name


def prediction_of(
    architecture: str, header: Header, path: Path, *, channels: int
) -> tuple[Prediction, bool]:
    """What it predicts, and whether its schedule ends in noise alone (zero terminal SNR)."""
    if architecture not in BY_NOISE:
        return "flow", False
    keys, name = header.tensors, said_name(path, header)
    zero = "ztsnr" in keys or bool(_ZERO_NAMED.search(name))
    zero = zero or header.metadata.get("ss_zero_terminal_snr", "").lower() == "true"
    if "edm_mean" in keys or "edm_vpred.sigma_max" in keys:
        return "edm", False
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    said = said or ("v" if header.metadata.get("ss_v_parameterization", "") == "True" else "")
    if "v_pred" in keys or said.startswith("v"):
        return "v_prediction", zero
    if said.startswith("eps"):
        return "epsilon", zero
    return _named_prediction(architecture, name, channels), zero


def _named_prediction(architecture: str, name: str, channels: int) -> Prediction:
    if _V_NAMED.search(name) or (architecture == "sd2" and _V_NAMED_2.search(name)):
        return "v_prediction"
    # Of Stable Diffusion 2 the smaller and those that inpaint predict noise, the others do not.
    is_told = architecture != "sd2" or channels != 4 or _EPSILON_NAMED.search(name)
    return "epsilon" if is_told else "unknown"


def few_step_of(architecture: str, header: Header, path: Path, prefix: str) -> tuple[FewStep, int]:
    """By what it was distilled, and to how many steps (0: not told)."""
    first, guidance = f"{prefix}img_in.weight", f"{prefix}guidance_in.in_layer.weight"
    if architecture == "flux" and first in header.tensors and guidance not in header.tensors:
        return "schnell", 4
    return few_step_named(said_name(path, header))


def few_step_named(name: str) -> tuple[FewStep, int]:
    """The same, as far as names tell."""
    found = next((kind for kind, pattern in _FEW_STEPS if pattern.search(name)), "")
    count = _COUNT.search(name)
    steps = int(count[1]) if found and count else 0
    return found, steps if steps <= MOST_FEW_STEPS else 0  # type: ignore[return-value]


# A piece of a name -> the format that it stands for, whatever the tensors' own are.
_QUANTISED: Final = (
    ("bitsandbytes__nf4", "NF4"),
    ("bitsandbytes__fp4", "FP4"),
    ("smooth_factor", "SVDQ"),
    # ComfyUI's, and of its newer tools: each layer's weights are to be multiplied.
    ("\nscaled_fp8\n", "scaled fp8"),
    (".scale_weight\n", "scaled fp8"),
    (".weight_scale\n", "scaled fp8"),
    (".comfy_quant\n", "scaled fp8"),
)


def dtype_of(header: Header) -> str:
    """The number format that most of the file's bytes are in; NF4 and such are named as that."""
    for piece, name in _QUANTISED:
        if piece in header.text:
            return name
    entries = header.tensors.values()
    dtypes = {entry["dtype"] for entry in entries}
    if len(dtypes) < 2:
        return next(iter(dtypes), "")
    sizes: Counter[str] = Counter()
    for entry in entries:
        begin, end = entry["data_offsets"]
        sizes[entry["dtype"]] += end - begin
    return max(sizes, key=lambda each: sizes[each])


def licence_of(metadata: dict[str, str]) -> str:
    """As the file says it; "" if it says nothing."""
    return (metadata.get("modelspec.license") or metadata.get("license") or "").strip()[:120]
