"""Look at a model's files without opening its weights: `python -m worker.pipelines.inspect PATH`.

Prints one line of JSON: family, kind, ok, sentence, native_size_px, only_repaints. Standard
library only, so a scan of a folder full of models costs milliseconds.
"""

import json
import struct
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from worker.pipelines.architectures import (
    ARCHITECTURES,
    OTHER,
    Header,
    SingleFile,
    architecture_of_class,
)

# Components a text-to-image pipeline works without; a folder may list but not hold them.
OPTIONAL_COMPONENTS = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
# Where components may come from: any other name would be imported as a module, whatever it is.
# The last two are folders of diffusers itself.
LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion", "kolors"})
PICKLE_SUFFIXES = frozenset({".ckpt", ".bin", ".pt", ".pth", ".pkl"})
# What a U-Net takes: latents alone, or latents, a mask and the latents of what is kept.
DRAWING_CHANNELS, REPAINTING_CHANNELS = 4, 9
LARGEST_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a path holds.

    `ok` says whether it can be loaded and draws from text; `sentence` says what it is, or what is
    wrong with it. `only_repaints` says that it can be loaded, but only inpaints. `family` is one of
    `ARCHITECTURES`, or None; `kind` is folder, file or None; `native_size_px` is the side the model
    was trained at.
    """

    family: str | None
    kind: str | None
    ok: bool
    sentence: str
    native_size_px: int | None = None
    only_repaints: bool = False


def inspect_path(path: Path) -> Inspection:
    """Return what is at `path`; never raises for what is found there."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return _refusal(None, f"{path.name} is a pickle file, which could run code if opened")
    if path.is_dir():
        return _inspect_folder(path)
    if path.is_file():
        return _inspect_file(path)
    return _refusal(None, f"There is no model at {path.name}")


def _refusal(kind: str | None, reason: str) -> Inspection:
    return Inspection(None, kind, False, f"{reason}.")


# Folders in diffusers format


def _inspect_folder(path: Path) -> Inspection:
    index = read_json(path / "model_index.json")
    if index is None:
        return _refusal("folder", f"{path.name} has no readable model_index.json")
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        return _refusal("folder", f"{path.name} asks for pipeline code of its own")
    for name, entry in index.items():
        fault = _component_fault(path, name, entry)
        if fault:
            return _refusal("folder", fault)
    family = architecture_of_class(class_name)
    found = Inspection(family, "folder", True, f"{class_name} folder.", _folder_size_px(path))
    denoiser = read_json(path / "unet" / "config.json") or {}
    return _repainting(found, path) if _takes_mask(denoiser.get("in_channels")) else found


def _takes_mask(channels: object) -> bool:
    return channels == REPAINTING_CHANNELS


def _repainting(found: Inspection, path: Path) -> Inspection:
    sentence = f"{path.name} only inpaints: it needs a start image and a mask."
    return replace(found, ok=False, sentence=sentence, only_repaints=True)


def _component_fault(path: Path, name: str, entry: object) -> str | None:
    """Return what is wrong with one component listed in model_index.json, or None."""
    # A listed component is a pair [library, class]; a pair of nulls means "none".
    if name.startswith("_") or not isinstance(entry, list) or not all(entry):
        return None
    if entry[0] not in LIBRARIES:
        return f"{path.name} takes its component {name} from an unknown library"
    folder = path / name
    if not folder.is_dir():
        missing = f"{path.name} lacks its component {name}"
        return None if name in OPTIONAL_COMPONENTS else missing
    files = [file for file in folder.iterdir() if file.is_file()]
    if not files:
        return f"The component {name} of {path.name} is empty"
    has_pickle = any(file.suffix in PICKLE_SUFFIXES for file in files)
    if has_pickle and not any(file.suffix == ".safetensors" for file in files):
        return f"The component {name} of {path.name} has its weights only as pickle files"
    return _broken_weights(folder, name)


def _broken_weights(folder: Path, name: str) -> str | None:
    if name in {"unet", "transformer", "vae"} and not list(folder.glob("*.safetensors")):
        return f"The component {name} has no weights"
    for file in sorted(folder.glob("*.safetensors")):
        if read_header(file) is None:
            return f"{name}/{file.name} is damaged or incomplete"
    return None


def _folder_size_px(path: Path) -> int | None:
    vae = read_json(path / "vae" / "config.json") or {}
    blocks = vae.get("block_out_channels")
    denoiser = read_json(path / "unet" / "config.json")
    denoiser = denoiser or read_json(path / "transformer" / "config.json") or {}
    size = denoiser.get("sample_size")
    if isinstance(size, int) and isinstance(blocks, list):
        return size * int(2 ** (len(blocks) - 1))
    return 1024 if (path / "transformer").is_dir() else None


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in that file; None if it is not there, or holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


# Single files


def read_header(path: Path) -> Header | None:
    """Return tensor name -> entry of a safetensors file; None when damaged or cut short."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LARGEST_HEADER_BYTES:
                return None
            header = json.loads(file.read(length))
    except (OSError, ValueError, struct.error):
        return None
    if not isinstance(header, dict):
        return None
    header.pop("__metadata__", None)
    return header if _is_complete(header, path.stat().st_size - 8 - length) else None


def _is_complete(header: Header, data_bytes: int) -> bool:
    try:
        return max((entry["data_offsets"][1] for entry in header.values()), default=0) == data_bytes
    except (TypeError, KeyError, IndexError):
        return False


def configuration_of(path: Path) -> Path:
    """Return the folder beside a single file that holds its configuration and tokenizers.

    A single file holds weights alone; `NAME.safetensors` is read with `NAME.config/`.
    """
    return path.with_suffix(".config")


def _inspect_file(path: Path) -> Inspection:
    if path.suffix.lower() != ".safetensors":
        return _refusal("file", f"{path.name} is not a safetensors file")
    header = read_header(path)
    if header is None:
        return _refusal("file", f"{path.name} is damaged or incomplete")
    if any("lora_" in name for name in header):
        return _refusal("file", f"{path.name} is a LoRA, not a whole model")
    if _input_channels(header) not in {None, DRAWING_CHANNELS, REPAINTING_CHANNELS}:
        return _refusal("file", f"{path.name} is an editing model")
    for family, architecture in ARCHITECTURES.items():
        for known in architecture.files:
            if known.matches(header):
                return _whole_file(path, header, family, known)
    return _refusal("file", f"{path.name} is not a checkpoint of a known family")


def _whole_file(path: Path, header: Header, family: str, known: SingleFile) -> Inspection:
    encoders = ("cond_stage_model.", "conditioner.", "text_encoders.")
    if not any(name.startswith(encoders) for name in header):
        return _refusal("file", f"{path.name} holds the denoiser only, without text encoders")
    repaints = _takes_mask(_input_channels(header))
    configuration = configuration_of(path)
    if read_json(configuration / "model_index.json") is None:
        source = known.repainting_configured_by if repaints else known.configured_by
        command = "python -m worker.pipelines.download fetch --configuration-only"
        return _refusal(
            "file",
            f"{path.name} needs its configuration beside it: "
            f"{command} {source} --into {configuration.name}",
        )
    size_px = _folder_size_px(configuration) or known.native_size_px
    found = Inspection(family, "file", True, known.sentence, size_px)
    return _repainting(found, path) if repaints else found


def _input_channels(header: Header) -> int | None:
    """Channels the U-Net takes; None if it has none, or names them otherwise."""
    entry = header.get("model.diffusion_model.input_blocks.0.0.weight")
    return int(entry["shape"][1]) if entry else None


def main(arguments: list[str]) -> int:
    """Print what is at the one path given, and what it needs of a device; return 0, or 2 when
    called wrongly."""
    if len(arguments) != 1:
        print("usage: python -m worker.pipelines.inspect PATH", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    print(json.dumps(asdict(inspect_path(path)) | {"needs": _needs(path)}))
    return 0


def _needs(path: Path) -> dict[int, dict[str, int]]:
    """Bytes of a number -> manner of loading -> bytes of a device."""
    from worker.pipelines.fitting import is_for, needs_of
    from worker.pipelines.sizes import measure

    found, sizes = inspect_path(path), measure(path)
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
