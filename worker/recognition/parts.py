"""Parts that a single file lacks, chosen from those that lie nearby.

A part is a file or folder of a VAE or text encoder, in a folder called `vae`, `text_encoders` or
`clip` (as other programs call them) beside the model's file or up to two folders above.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from worker.recognition.found import Found
from worker.recognition.names import NAMES
from worker.recognition.recognise import recognise, walk

PLACES: Final = frozenset({"vae", "text_encoders", "text_encoder", "clip"})
LEVELS: Final = 3
VAE: Final = "vae"
# Architecture of a single file -> the component of its pipeline that each part becomes.
COMPONENTS: Final[dict[str, dict[str, str]]] = {
    "sd1": {"clip-l": "text_encoder", VAE: VAE},
    "sd2": {"clip-h": "text_encoder", VAE: VAE},
    "sdxl": {"clip-l": "text_encoder", "clip-g": "text_encoder_2", VAE: VAE},
    "sd3": {
        "clip-l": "text_encoder",
        "clip-g": "text_encoder_2",
        "t5": "text_encoder_3",
        VAE: VAE,
    },
    "flux": {"clip-l": "text_encoder", "t5": "text_encoder_2", VAE: VAE},
}
# It draws without T5, if less closely to long prompts.
SPARED: Final = {"sd3": frozenset({"t5"})}
# As safetensors names them; "" of a folder. Encoders in GGUF, or with scales, are not read.
_PLAIN: Final = frozenset({"", "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
# Two that share a VAE.
_VAES: Final = {"sd2": "sd1"}
# What a part is called when it is downloaded.
_USUAL: Final = {
    "clip-l": "clip_l.safetensors",
    "clip-g": "clip_g.safetensors",
    "clip-h": "a text encoder of Stable Diffusion 2 in diffusers format",
    "t5": "t5xxl_fp16.safetensors",
}
_USUAL_VAES: Final = {
    "sd1": "vae-ft-mse-840000-ema-pruned.safetensors",
    "sdxl": "sdxl_vae.safetensors",
    "sd3": "a VAE of Stable Diffusion 3 with sd3 in its name",
    "flux": "ae.safetensors",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """`chosen`: component of the pipeline -> where it lies. `missing`: parts that are nowhere."""

    chosen: dict[str, Path]
    missing: tuple[str, ...]


def choose_parts(path: Path, found: Found) -> Choice:
    """The parts for a single file: what it holds is left out; of several that fit the first by
    name is taken."""
    chosen: dict[str, Path] = {}
    missing = []
    for part, component in COMPONENTS[found.architecture].items():
        if part in found.parts:
            continue
        fitting = (each for each, what in _nearby(path) if _fits(part, found.architecture, what))
        place = next(fitting, None)
        if place is not None:
            chosen[component] = place
        elif part not in SPARED.get(found.architecture, ()):
            missing.append(part)
    return Choice(chosen, tuple(missing))


def held_components(found: Found) -> dict[str, str]:
    """Part -> component, of those that the file itself holds."""
    known = COMPONENTS[found.architecture]
    return {part: component for part, component in known.items() if part in found.parts}


def lacking(path: Path, found: Found, missing: tuple[str, ...]) -> str:
    """The sentence for what is missing and what would do."""
    vae = _USUAL_VAES[_vae_of(found.architecture)]
    names = ", ".join(
        "a VAE" if part == VAE else f"a text encoder ({NAMES[part]})" for part in missing
    )
    usual = ", ".join(vae if part == VAE else _USUAL[part] for part in missing)
    return (
        f"{path.name} lacks {names}. Put {usual}, or another of that kind, into a folder called "
        "vae or text_encoders beside it."
    )


def _vae_of(architecture: str) -> str:
    return _VAES.get(architecture, architecture)


def is_part(found: Found) -> bool:
    """Whether some single file may take it."""
    if found.dtype not in _PLAIN:
        return False
    if found.kind == VAE:
        return found.architecture in _USUAL_VAES and found.variant not in {"tiny", "wan"}
    return found.kind == "text encoder" and found.architecture in _USUAL


def _fits(part: str, architecture: str, what: Found) -> bool:
    wanted = _vae_of(architecture) if part == VAE else part
    is_kind = (what.kind == VAE) == (part == VAE)
    return is_part(what) and is_kind and what.architecture == wanted


def _nearby(path: Path) -> Iterator[tuple[Path, Found]]:
    for folder in list(path.absolute().parents)[:LEVELS]:
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            continue
        for place in inside:
            if place.name.lower() in PLACES and place.is_dir():
                for one in walk(place):
                    yield one, _seen(one, _changed(one))


def _changed(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=512)
def _seen(path: Path, _changed: tuple[int, int]) -> Found:
    """A scan of many files that lack the same parts reads these once."""
    return recognise(path)
