"""Look at models' files without opening weights: `python -m worker.pipelines.inspect PATH...`.

Prints a line of JSON for each: what `worker.recognition` says of it, and family, usable,
sentence, native_size_px, only_repaints; with --needs what it needs of a device, with --sha256 the
digest of a file. --walk goes through folders of many models. Standard library only, so that a
thousand files cost seconds.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.pipelines.architectures import ARCHITECTURES, OTHER, architecture_of_class
from worker.pipelines.configurations import configuration_of
from worker.recognition.folders import size_px
from worker.recognition.found import Form, Found
from worker.recognition.headers import digest_of
from worker.recognition.names import NAMES
from worker.recognition.parts import choose_parts, is_part, lacking
from worker.recognition.recognise import REPAINTING_CHANNELS, recognise, walk

# What a LoRA was trained for -> the family whose models it may be laid over.
LORA_FAMILIES = {
    "sd1": "sd",
    "sd2": "sd",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
    "z-image": "z_image",
    "qwen-image": "qwen_image",
    "flux2": "flux2_klein",
}
PLAIN_LORAS = frozenset({"lora", "locon"})
_STEERED = {"fill": "FLUX.1 Fill", "control": "a FLUX.1 that follows another image"}
_STORED = {
    "NF4": "in NF4, for bitsandbytes on a GPU",
    "FP4": "in FP4, for bitsandbytes on a GPU",
    "SVDQ": "for Nunchaku on a GPU",
    "scaled fp8": "in fp8 with a scale for each layer",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a path holds, and what this version makes of it.

    `usable` says whether it can be loaded and draws from text, or is a part for files that lack it;
    `sentence` says what it is, or what is wrong with it. `only_repaints` says that it can be
    loaded, but only inpaints. `family` is one of `ARCHITECTURES`, or None;
    `native_size_px` is the side the model was trained at.
    """

    found: Found
    family: str | None
    usable: bool
    sentence: str
    native_size_px: int | None = None
    only_repaints: bool = False

    @property
    def form(self) -> Form | None:
        """Folder or file; None if nothing is there."""
        return self.found.form


def inspect_path(path: Path) -> Inspection:
    """Return what is at `path`; never raises for what is found there."""
    found = recognise(path)
    if found.kind == "pipeline":
        return _folder(path, found)
    if found.kind == "checkpoint":
        return _file(path, found)
    if found.kind == "lora":
        return _lora(path, found)
    if is_part(found):
        sentence = found.sentence.removesuffix(", not a whole model.")
        place = "vae" if found.kind == "vae" else "text_encoders"
        sentence += f", for files that lack one: keep it in a folder called {place} beside them."
        return Inspection(found, None, True, sentence)
    return _refusal(found, found.sentence)


def _lora(path: Path, found: Found) -> Inspection:
    """Usable if the models that it was trained for can be drawn with it."""
    family = LORA_FAMILIES.get(found.architecture)
    if found.variant not in PLAIN_LORAS:
        return _refusal(found, f"{found.sentence} This kind is not supported.")
    if not found.architecture:
        return _refusal(found, f"{found.sentence} Nothing in it says which models it is for.")
    if family is None:
        return _refusal(found, f"{found.sentence} LoRAs of such models are not supported.")
    return Inspection(found, family, True, found.sentence)


def _refusal(found: Found, sentence: str) -> Inspection:
    return Inspection(found, None, False, sentence)


def _folder(path: Path, found: Found) -> Inspection:
    family = architecture_of_class(found.class_name)
    return _usable(path, found, family, found.native_size_px)


def _usable(path: Path, found: Found, family: str, native_size_px: int | None) -> Inspection:
    if found.in_channels != REPAINTING_CHANNELS:
        return Inspection(found, family, True, found.sentence, native_size_px)
    sentence = f"{path.name} only inpaints: it needs a start image and a mask."
    return Inspection(found, family, False, sentence, native_size_px, only_repaints=True)


def _file(path: Path, found: Found) -> Inspection:
    reason = _why_not(path, found)
    if reason:
        return _refusal(found, reason)
    family = _family_of_file(found.architecture)
    if family is None:
        name = NAMES[found.architecture]
        sentence = (
            f"{path.name} is a checkpoint of {name}, which can't be loaded from a single file. "
            "Add the model as a folder in diffusers format."
        )
        return _refusal(found, sentence)
    missing = choose_parts(path, found).missing
    if missing:
        return _refusal(found, lacking(path, found, missing))
    size = size_px(configuration_of(path)) or found.native_size_px
    return _usable(path, found, family, size)


def _why_not(path: Path, found: Found) -> str:
    """What is in the way of drawing with such a checkpoint, whatever lies beside it; "" if
    nothing is."""
    if found.architecture == "sdxl-refiner":
        return (
            f"{path.name} is the Stable Diffusion XL refiner, which only finishes images that "
            "another model drew."
        )
    if found.variant == "instruct":
        return f"{path.name} is an editing model, which changes an image as it is told."
    if found.architecture == "sd-upscaler":
        return f"{path.name} is the Stable Diffusion x4 upscaler, which draws nothing from text."
    if found.architecture == "video":
        return f"{path.name} is a checkpoint of a video model."
    if found.variant in _STEERED:
        return f"{path.name} is {_STEERED[found.variant]}, which draws nothing from text alone."
    return _stored_otherwise(path, found)


def _stored_otherwise(path: Path, found: Found) -> str:
    if found.dtype in _STORED:
        return (
            f"{path.name} stores its weights {_STORED[found.dtype]}, which is not supported. Take "
            "the same model in bf16, fp8 or GGUF."
        )
    is_gguf = path.suffix.lower() == ".gguf"
    if is_gguf and found.architecture not in {"flux", "sd3"}:
        return f"{path.name} is in GGUF, which is loaded of FLUX.1 and Stable Diffusion 3 alone."
    return ""


def _family_of_file(architecture: str) -> str | None:
    """The family that loads single files of that architecture; None if none does."""
    fitting = (slug for slug, family in ARCHITECTURES.items() if architecture in family.files)
    return next(fitting, None)


# The program


def main(arguments: list[str]) -> int:
    """Print what is at the paths given, or, if none is, at those on standard input; return 0."""
    parser = argparse.ArgumentParser(prog="python -m worker.pipelines.inspect")
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--walk", action="store_true", help="look through folders of many models")
    parser.add_argument("--needs", action="store_true", help="say what it needs of a device")
    parser.add_argument("--sha256", action="store_true", help="read each file whole")
    options = parser.parse_args(arguments)
    gc.disable()  # headers are large and hold no cycles: it takes a third of the time
    for given in options.paths or _from_standard_input():
        for path in walk(given) if options.walk else [given]:
            print(json.dumps(_described(path, options)), flush=True)
    return 0


def _from_standard_input() -> Iterator[Path]:
    return (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())


def _described(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    inspection = inspect_path(path)
    told = asdict(inspection)
    said: dict[str, Any] = {"path": str(path)} | told.pop("found") | told
    if options.needs:
        said["needs"] = _needs(path, inspection)
    if options.sha256 and path.is_file():
        said["sha256"] = digest_of(path)
    return said


def _needs(path: Path, found: Inspection) -> dict[int, dict[str, int]]:
    """Bytes of a number -> manner of loading -> bytes of a device."""
    from worker.pipelines.fitting import is_for, needs_of
    from worker.pipelines.sizes import measure

    sizes = measure(path)
    return {
        itemsize: {
            manner: needed
            for manner, needed in needs_of(sizes, itemsize).items()
            if is_for(found.family or OTHER, manner)
        }
        for itemsize in (2, 4)
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
