"""How many bytes a model's weights take, by the headers of its files. Loads no weights, and no
torch: the web asks too."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from worker.recognition.found import Found
from worker.recognition.headers import read_tensors
from worker.recognition.parts import COMPONENTS, choose_parts, held_components
from worker.recognition.recognise import PARTS, recognise

DENOISERS: Final = frozenset({"unet", "transformer"})
FP8_BYTES: Final = 1
# As safetensors names them. Those of one byte are widened when they are loaded.
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
# What diffusers' layerwise casting leaves in full, by its own names and by those of single files.
_KEPT_FULL = re.compile(
    r"norm|pos_embed|patch_embed|t_embedder|cap_embedder|^proj_in\.|^proj_out\."
    r"|_mod\.lin\.|\bmodulation\.lin\.|(?:_block|final_layer)\.adaLN_modulation"
)


@dataclass(slots=True)
class PartSize:
    """Of one part of a model: how many floating-point numbers it has, how many of them may be
    stored as fp8, and the bytes of everything else."""

    numbers: int = 0
    castable: int = 0
    other_bytes: int = 0

    def bytes_at(self, itemsize: int, *, fp8: bool = False) -> int:
        """Bytes at `itemsize` bytes a number; with `fp8`, one byte for those that may be stored
        so."""
        cast = self.castable if fp8 else 0
        return (self.numbers - cast) * itemsize + cast * FP8_BYTES + self.other_bytes

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """Count the tensor `name` of a file's header."""
        begin, end = entry["data_offsets"]
        if entry["dtype"] not in _FLOATS:
            self.other_bytes += end - begin
            return
        count = math.prod(entry["shape"])
        self.numbers += count
        if len(entry["shape"]) > 1 and not _KEPT_FULL.search(name):
            self.castable += count


@dataclass(slots=True)
class ModelSizes:
    """`parts`: name of the component -> its size; empty if there is nothing to read."""

    parts: dict[str, PartSize] = field(default_factory=dict)

    def whole(self, itemsize: int) -> int:
        """Bytes of all parts at `itemsize` bytes a number."""
        return sum(part.bytes_at(itemsize) for part in self.parts.values())

    def denoiser(self, itemsize: int, *, fp8: bool = False) -> int:
        """Bytes of the denoiser, 0 if there is none; with `fp8`, stored as that."""
        denoisers = (part for name, part in self.parts.items() if name in DENOISERS)
        return sum(part.bytes_at(itemsize, fp8=fp8) for part in denoisers)

    def encoders(self, itemsize: int) -> list[int]:
        """Bytes of each text encoder, in the order of `parts`; [] if there is none."""
        named = self.parts.items()
        return [part.bytes_at(itemsize) for name, part in named if is_encoder(name)]

    def rest(self, itemsize: int) -> int:
        """Bytes of what is neither: the VAE, a safety checker."""
        return self.whole(itemsize) - self.denoiser(itemsize) - sum(self.encoders(itemsize))


def is_encoder(name: str) -> bool:
    """True for the name of a component that reads the prompt."""
    return name.startswith("text_encoder")


def measure(path: Path) -> ModelSizes:
    """The sizes of the model at `path`, a folder in diffusers format or a single file.

    Without parts if there is nothing to read: loading it will say why.
    """
    sizes = ModelSizes()
    for part, name, entry in _entries(path):
        sizes.parts.setdefault(part, PartSize()).add(name, entry)
    return sizes


def _entries(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if path.is_file():
        yield from _entries_of_file(path)
        return
    for file in weight_files(path):
        for name, entry in (read_tensors(file) or {}).items():
            yield file.parent.name, name, entry


def _entries_of_file(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Of a single file, and of the parts nearby that it is loaded with."""
    found = recognise(path)
    if found.kind != "checkpoint" or found.architecture not in COMPONENTS:
        return
    components = held_components(found)
    for name, entry in (read_tensors(path) or {}).items():
        part = _part_in_file(name, found, components)
        if part:
            yield part, name, entry
    for component, place in choose_parts(path, found).chosen.items():
        for file in [place] if place.is_file() else sorted(place.glob("*.safetensors")):
            for name, entry in (read_tensors(file) or {}).items():
                yield component, name, entry


def _part_in_file(name: str, found: Found, components: dict[str, str]) -> str:
    """The component that a tensor belongs to; "" for what is left aside, such as EMA weights."""
    held = next((part for prefix, part in PARTS if name.startswith(prefix)), "")
    if held:
        return components.get(held, "")
    return "transformer" if name.startswith(found.prefix) else ""


def weight_files(path: Path) -> Iterator[Path]:
    """The files that loading reads: no other variants, no single files that lie beside."""
    if path.is_file():
        yield path
        return
    variant = ".fp16." if is_half_only(path) else "."
    for folder in sorted(file for file in path.glob("*") if file.is_dir()):
        files = list(folder.glob("*.safetensors"))
        wanted = [file for file in files if _variant_of(file) == variant]
        yield from wanted or files


def _variant_of(file: Path) -> str:
    """`.fp16.` of `x.fp16.safetensors` and of `x.fp16-00001-of-00002.safetensors`, else `.`."""
    _name, _, variant = file.stem.partition(".")
    return f".{variant.partition('-')[0]}." if variant else "."


def is_half_only(path: Path) -> bool:
    """True when the denoiser comes as `*.fp16.safetensors` and in no other precision."""
    names = [
        file.name
        for folder in ("unet", "transformer")
        for file in (path / folder).glob("*.safetensors")
    ]
    return bool(names) and all(".fp16" in name for name in names)
