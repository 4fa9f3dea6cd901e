"""What web process and child say to each other: a line of JSON, and bytes."""

import json
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any

SIZE = struct.Struct(">Q")
MOST_BYTES = 256 * 1024 * 1024

Message = tuple[dict[str, Any], list[bytes]]


def write_message(
    to: socket.socket, facts: dict[str, Any], blobs: Sequence[bytes | Iterable[bytes]]
) -> None:
    """Sends facts and blobs; a blob that is no bytes is an iterable of pieces, sent as they come.

    Raises TimeoutError if the other end does not take them in the socket's time, OSError if
    it is gone.
    """
    _write_piece(to, json.dumps(facts).encode())
    to.sendall(SIZE.pack(len(blobs)))
    for blob in blobs:
        for piece in [blob] if isinstance(blob, bytes) else blob:
            if piece:
                _write_piece(to, piece)
        _write_piece(to, b"")


def read_message(source: socket.socket) -> Message | None:
    """The next one; None if the other end has hung up. Raises TimeoutError, OSError, and
    ValueError for what is no message."""
    first = _read_piece(source)
    if first is None:
        return None
    count = SIZE.unpack(_read(source, SIZE.size))[0]
    return json.loads(first), [_read_blob(source) for _number in range(count)]


def _read_blob(source: socket.socket) -> bytes:
    pieces = []
    while piece := _read_piece(source):
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _write_piece(to: socket.socket, piece: bytes) -> None:
    to.sendall(SIZE.pack(len(piece)))
    to.sendall(piece)


def _read_piece(source: socket.socket) -> bytes | None:
    head = source.recv(SIZE.size, socket.MSG_WAITALL)
    if not head:
        return None
    size = SIZE.unpack(head + _read(source, SIZE.size - len(head)))[0]
    if size > MOST_BYTES:
        raise ValueError("no such message")
    return _read(source, size)


def _read(source: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view, at = memoryview(buffer), 0
    while at < size:
        got = source.recv_into(view[at:])
        if not got:
            raise ConnectionResetError("the other end is gone")
        at += got
    return bytes(buffer)
