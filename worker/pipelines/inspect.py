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

from worker.pipelines.architectures import (
    ARCHITECTURES,
    OTHER,
    SingleFile,
    architecture_of_class,
)
from worker.recognition.folders import INDEX, size_px
from worker.recognition.found import Form, Found
from worker.recognition.headers import digest_of, read_json
from worker.recognition.names import NAMES
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
# Parts of a pipeline, which are chosen for files that lack them.
PARTS = frozenset({"vae", "text encoder"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a path holds, and what this version makes of it.

    `usable` says whether it can be loaded and draws from text; `sentence` says what it is, or what
    is wrong with it. `only_repaints` says that it can be loaded, but only inpaints. `family` is one
    of `ARCHITECTURES`, or None; `native_size_px` is the side the model was trained at.
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


def configuration_of(path: Path) -> Path:
    """Return the folder beside a single file that holds its configuration and tokenizers.

    A single file holds weights alone; `NAME.safetensors` is read with `NAME.config/`.
    """
    return path.with_suffix(".config")


def _file(path: Path, found: Found) -> Inspection:
    reason = _why_not(path, found)
    if reason:
        return _refusal(found, reason)
    family, known = _single_file(found.architecture)
    if known is None:
        name = NAMES[found.architecture]
        sentence = (
            f"{path.name} is a checkpoint of {name}, which can't be loaded from a single file. "
            "Add the model as a folder in diffusers format."
        )
        return _refusal(found, sentence)
    return _whole_file(path, found, family, known)


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
    return ""


def _single_file(architecture: str) -> tuple[str, SingleFile | None]:
    """The family that loads single files of that architecture, and how; None if none does."""
    for slug, family in ARCHITECTURES.items():
        for known in family.files:
            if known.architecture == architecture:
                return slug, known
    return OTHER, None


def _whole_file(path: Path, found: Found, family: str, known: SingleFile) -> Inspection:
    if not any(part.startswith("text_encoder") for part in found.parts):
        sentence = f"{path.name} holds the denoiser only, without text encoders."
        return _refusal(found, sentence)
    configuration = configuration_of(path)
    if read_json(configuration / INDEX) is None:
        return _refusal(found, _wants_configuration(path, found, known))
    return _usable(path, found, family, size_px(configuration) or found.native_size_px)


def _wants_configuration(path: Path, found: Found, known: SingleFile) -> str:
    repaints = found.in_channels == REPAINTING_CHANNELS
    source = known.repainting_configured_by if repaints else known.configured_by
    command = "python -m worker.pipelines.download fetch --configuration-only"
    folder = configuration_of(path).name
    return f"{path.name} needs its configuration beside it: {command} {source} --into {folder}."


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
