"""Files of weights in the layouts that public tools write, with real names and shapes and no
numbers: a header, and a hole as long as its tensors."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "U8": 1}


def write_header(
    path: Path,
    shapes: Shapes,
    *,
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
    missing: int = 0,
) -> Path:
    """A sparse safetensors file; `missing` bytes of its end are not there."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, shape in shapes.items():
        end = offset + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)
    with path.open("r+b") as file:
        file.truncate(8 + len(raw) + offset - missing)
    return path


# GGML's type -> numbers in a block, bytes of a block.
_BLOCKS: Final = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 12: (256, 144)}


def write_gguf(path: Path, shapes: Shapes, *, kind: int, missing: int = 0) -> Path:
    """A sparse GGUF file of tensors of GGML's type `kind`, as gguf-py writes it."""
    numbers, block_bytes = _BLOCKS[kind]
    raw = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), 2)
    raw += _text("general.architecture") + struct.pack("<I", 8) + _text("flux")
    raw += _text("general.file_type") + struct.pack("<II", 4, 2)
    offset = 0
    for name, shape in shapes.items():
        raw += _text(name) + struct.pack("<I", len(shape))
        raw += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        raw += struct.pack("<IQ", kind, offset)
        offset += -(-math.prod(shape) // numbers) * block_bytes
    raw += bytes(-len(raw) % 32)
    path.write_bytes(raw)
    with path.open("r+b") as file:
        file.truncate(len(raw) + offset - missing)
    return path


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def wrapped(shapes: Shapes, prefix: str) -> dict[str, Shape]:
    """The same with `prefix` before each name."""
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}
