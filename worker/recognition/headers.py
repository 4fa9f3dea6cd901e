"""Headers of safetensors and GGUF files, and what lies in a file instead of one.

safetensors: eight bytes of length, then JSON: tensor name -> dtype, shape, offsets.
GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from worker.recognition import gguf

LARGEST_HEADER_BYTES: Final = 100_000_000  # the limit of the safetensors library itself
PICKLE_SUFFIXES: Final = frozenset({".ckpt", ".bin", ".pt", ".pth", ".pkl"})
WEIGHT_SUFFIXES: Final = frozenset({".safetensors", ".sft", ".gguf"})
ARCHIVE_SUFFIXES: Final = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".xz", ".zst"})
# First bytes -> what such a file is.
_ARCHIVES: Final = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
}
_LFS_POINTER: Final = b"version https://git-lfs"

# Name of a tensor -> its dtype, shape and offsets, as safetensors writes them.
Tensors = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Header:
    """`metadata`: what the file says of itself. `identity`: a digest of the header and the file's
    size, the same for copies of one file. `text`: all names, each between two line feeds, so that
    many pieces of names are looked for in a thousand files in seconds."""

    tensors: Tensors
    metadata: dict[str, str]
    size_bytes: int
    identity: str
    text: str

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of that tensor; () if there is none of that name."""
        entry = self.tensors.get(name)
        return tuple(entry["shape"]) if entry else ()


class UnreadableFile(Exception):
    """`kind` as in `found.Kind`; `sentence` says what is wrong with the file and what to do."""

    def __init__(self, kind: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


def read_header(path: Path) -> Header:
    """The header of a file; its weights, and pickles, are never opened. Raises `UnreadableFile`
    with a sentence for whatever is no whole safetensors or GGUF file."""
    suffix = path.suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        raise _pickle(f"{path.name} is a pickle file, which could run code if opened")
    try:
        with path.open("rb") as file:
            return _read(file, path.name, path.stat().st_size)
    except OSError as error:
        raise UnreadableFile("damaged", f"{path.name} can't be read: {error.strerror}.") from error


def read_tensors(path: Path) -> Tensors | None:
    """Name of a tensor -> its entry, of a whole file; None of any other."""
    try:
        return read_header(path).tensors
    except UnreadableFile:
        return None


def _pickle(what: str) -> UnreadableFile:
    return UnreadableFile("pickle", f"{what}. Look for a safetensors file of the same model.")


def _read(file: BinaryIO, name: str, size_bytes: int) -> Header:
    begin = file.read(512)
    if not begin:
        raise _damaged(name, "it is empty")
    # A length may look like the first bytes of anything: 0x280 like those of a pickle.
    if begin[8:9] != b"{":
        _refuse_other(begin, name)
    file.seek(0)
    if begin.startswith(gguf.MAGIC):
        return _read_gguf(file, name, size_bytes)
    if not name.lower().endswith((".safetensors", ".sft")):
        raise UnreadableFile("unknown", f"{name} is neither a safetensors nor a GGUF file.")
    return _read_safetensors(file, name, size_bytes)


def _damaged(name: str, why: str) -> UnreadableFile:
    return UnreadableFile("damaged", f"{name} is damaged or incomplete: {why}. Download it again.")


def _refuse_other(begin: bytes, name: str) -> None:
    if begin.startswith(_LFS_POINTER):
        sentence = f"{name} is a Git LFS pointer, not the file itself. Run git lfs pull beside it."
        raise UnreadableFile("damaged", sentence)
    if begin.lstrip()[:1] == b"<":
        sentence = (
            f"{name} is a web page (HTML), not the file itself. Download it again, signed in if "
            "the page asks for that."
        )
        raise UnreadableFile("damaged", sentence)
    # Of protocol 2 on; torch has written zip archives with one inside for years.
    if begin[:1] == b"\x80" and begin[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        raise _pickle(f"{name} is a pickle file by another name, which could run code if opened")
    for magic, what in _ARCHIVES.items():
        if begin.startswith(magic):
            sentence = f"{name} is {what}. Unpack it, and add the safetensors file that is in it."
            raise UnreadableFile("archive", sentence)


def _read_safetensors(file: BinaryIO, name: str, size_bytes: int) -> Header:
    length_bytes = file.read(8)
    if len(length_bytes) < 8:
        raise _damaged(name, "it ends within its header")
    (length,) = struct.unpack("<Q", length_bytes)
    if length > LARGEST_HEADER_BYTES:
        raise _damaged(name, "it does not begin as a safetensors file")
    if length > size_bytes - 8:
        raise _damaged(name, "it ends within its header")
    raw = file.read(length)
    try:
        tensors = json.loads(raw)
        metadata = tensors.pop("__metadata__", None) or {}
        wanted = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        _check_entries(tensors)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(name, "its header can't be read") from error
    _check_length(name, wanted, size_bytes - 8 - length)
    return _header(tensors, _texts(metadata), size_bytes, raw)


def _header(tensors: Tensors, metadata: dict[str, str], size_bytes: int, raw: bytes) -> Header:
    identity = f"{size_bytes} {hashlib.sha256(raw).hexdigest()}"
    return Header(tensors, metadata, size_bytes, identity, "\n" + "\n".join(tensors) + "\n")


def _check_entries(tensors: Tensors) -> None:
    """Raises ValueError for a tensor that is not described as one."""
    sizes = chain.from_iterable(entry["shape"] for entry in tensors.values())
    dtypes = {type(entry["dtype"]) for entry in tensors.values()}
    if not set(map(type, sizes)) <= {int} or not dtypes <= {str}:
        raise ValueError("no tensor")


def _texts(metadata: Any) -> dict[str, str]:
    items = metadata.items() if isinstance(metadata, dict) else ()
    return {key: value for key, value in items if isinstance(value, str)}


def _check_length(name: str, wanted: int, there: int) -> None:
    if there < wanted:
        raise _damaged(name, f"{_size(wanted - there)} of its {_size(wanted)} are missing")
    if there > wanted:
        raise _damaged(name, f"it is {_size(there - wanted)} longer than its header says")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count} bytes"


def _read_gguf(file: BinaryIO, name: str, size_bytes: int) -> Header:
    try:
        found = gguf.read(file)
    except gguf.NotWhole as error:
        raise _damaged(name, str(error)) from error
    if size_bytes < found.end:
        raise _damaged(
            name, f"{_size(found.end - size_bytes)} of its {_size(found.end)} are missing"
        )
    raw = repr(sorted(found.tensors.items())).encode()
    return _header(found.tensors, found.metadata, size_bytes, raw)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in that file; None if it is not there, or holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as model pages show it. Reads all of it; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
