"""Which files a model consists of, so that each host can tell whether it has the same ones.

A manifest names every file that a pipeline loads, with its size and a digest: of all bytes of a
small file, of sixteen pieces spread over a large one. That tells another model or revision of the
same shape, a copy that broke off and a file that is missing, and reads a megabyte of each file: a
worker does it at its start, when reading ten models whole from a shared folder would take minutes.
That a disk returns what was written is the disk's affair.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from webapp.catalog.models import DiffusionModel, ModelManifest
from webapp.catalog.vocabulary_services import INDEX, folder_of

SUFFIXES: Final = {".json", ".txt", ".model", ".safetensors"}
PIECES: Final = 16
PIECE_BYTES: Final = 64 * 1024

# Name of a file, from the model's folder on -> its size and digest.
Manifest = Mapping[str, str]


def is_here(model: DiffusionModel) -> bool:
    """Whether this host has the model's index, or its file."""
    return read_stamp(model) is not None


def read_stamp(model: DiffusionModel) -> tuple[int, ...] | None:
    """What changes with the model's index, or its file, on this host; None if it is not here."""
    if not model.path:
        return None
    path = Path(model.path)
    is_file = model.source == DiffusionModel.Source.FILE
    try:
        found = (path if is_file else path / INDEX).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def take_manifest(path: Path) -> dict[str, str]:
    """The manifest of the model at `path`, a folder or a single file. Raises OSError if one of its
    files can't be read."""
    return {name: _describe(file) for name, file in sorted(_files_of(path))}


def keep_manifest(*, model: DiffusionModel, manifest: Manifest) -> None:
    """From now on these are the model's files, on every host."""
    ModelManifest.objects.update_or_create(model=model, defaults={"files": dict(manifest)})


def compare_manifest(*, model: DiffusionModel, manifest: Manifest) -> list[str]:
    """Names of the files that differ from those that the model has, are missing or too many; []
    if all are the same. Of a model that has no manifest yet, these are its files from now on."""
    kept, _is_new = ModelManifest.objects.get_or_create(
        model=model, defaults={"files": dict(manifest)}
    )
    names = sorted({*kept.files, *manifest})
    return [name for name in names if kept.files.get(name) != manifest.get(name)]


def _files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """A pipeline's files lie in a folder for each of its parts; what lies beside the index, such as
    a model card or a vocabulary, may change."""
    folder = folder_of(path)
    if path.is_file():
        yield path.name, path
    for file in (folder / INDEX, *folder.glob("*/*")):
        is_hidden = file.name.startswith(".") or file.parent.name.startswith(".")
        if file.suffix in SUFFIXES and not is_hidden and file.is_file():
            yield file.relative_to(folder).as_posix(), file


def _describe(file: Path) -> str:
    size_bytes = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for start in _starts(size_bytes):
            opened.seek(start)
            digest.update(opened.read(PIECE_BYTES))
    return f"{size_bytes} {digest.hexdigest()}"


def _starts(size_bytes: int) -> list[int]:
    """Where pieces begin: one after the other in a small file, else from the first byte to the
    last, evenly."""
    if size_bytes <= PIECES * PIECE_BYTES:
        return list(range(0, size_bytes, PIECE_BYTES))
    last = size_bytes - PIECE_BYTES
    return [last * number // (PIECES - 1) for number in range(PIECES)]
