"""The header of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

import math
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

MAGIC: Final = b"GGUF"
# More than any real file has: a header that says more is broken.
MOST_ENTRIES, MOST_TENSORS, MOST_TEXT_BYTES = 100_000, 100_000, 10_000_000
MOST_VALUES: Final = 10_000_000
_STRING, _ARRAY = 8, 9
# Type of a value -> its format.
_VALUES: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
# Type of a tensor -> its name, numbers in a block, bytes of a block.
_TENSORS: Final = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
}  # fmt: skip


class NotWhole(Exception):
    """Says what is wrong with the header."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """`tensors` as safetensors would describe them, their shapes as torch counts axes. `end`:
    bytes that the file has at least."""

    tensors: dict[str, dict[str, Any]]
    metadata: dict[str, str]
    end: int


def read(file: BinaryIO) -> GgufHeader:
    """The header at the beginning of `file`. Raises `NotWhole`."""
    try:
        return _read(file)
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise NotWhole("it ends within its header") from error


def _read(file: BinaryIO) -> GgufHeader:
    magic, version, count, entries = struct.unpack("<4sIQQ", file.read(24))
    if magic != MAGIC or version not in (2, 3):
        raise NotWhole(f"GGUF version {version} is not known")
    if count > MOST_TENSORS or entries > MOST_ENTRIES:
        raise NotWhole("its header can't be read")
    metadata = {}
    for _ in range(entries):
        key = _text(file)
        value = _value(file, _number(file, "<I"))
        if value is not None:
            metadata[key] = str(value)
    described = [_tensor(file) for _ in range(count)]
    alignment = int(metadata.get("general.alignment") or 32)
    begin = -(-file.tell() // alignment) * alignment
    tensors = {name: entry for name, entry in described}
    last = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    return GgufHeader(tensors, metadata, begin + last)


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _text(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > MOST_TEXT_BYTES:
        raise NotWhole("its header can't be read")
    raw = file.read(length)
    if len(raw) < length:
        raise NotWhole("it ends within its header")
    return raw.decode()


def _value(file: BinaryIO, kind: int) -> Any:
    """A value of that type; None for a list, which is passed over."""
    if kind == _STRING:
        return _text(file)
    if kind in _VALUES:
        return _number(file, _VALUES[kind])
    if kind != _ARRAY:
        raise NotWhole("its header can't be read")
    of, length = struct.unpack("<IQ", file.read(12))
    if length > MOST_VALUES or of == _ARRAY:
        raise NotWhole("its header can't be read")
    if of in _VALUES:
        file.seek(struct.calcsize(_VALUES[of]) * length, 1)
        return None
    for _ in range(length):
        _value(file, of)
    return None


def _tensor(file: BinaryIO) -> tuple[str, dict[str, Any]]:
    name = _text(file)
    axes = _number(file, "<I")
    if axes > 8:
        raise NotWhole("its header can't be read")
    shape = [_number(file, "<Q") for _ in range(axes)][::-1]
    kind, offset = struct.unpack("<IQ", file.read(12))
    if kind not in _TENSORS:
        raise NotWhole(f"it stores weights in a way that is not known (GGML type {kind})")
    dtype, block, block_bytes = _TENSORS[kind]
    end = offset + -(-math.prod(shape) // block) * block_bytes
    return name, {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
