"""A database as one stream: out of it by `pg_dump`, into an empty one by `pg_restore`.

The stream is an archive of PostgreSQL's own format, compressed. Nothing is held in memory but a
piece of it, and what a program says is kept for whoever asks why it failed.
"""

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from webapp.embedded.errors import DumpFailedError

PIECE_BYTES = 1 << 20
DUMP_S = LOAD_S = 6 * 3600.0
LOCK_S = 60
CONNECT_S = 10
COMPLAINT_BYTES = 2000


@contextmanager
def dumped(
    program: Path, *, conninfo: str, password: str = "", snapshot: str = ""
) -> Iterator[Iterator[bytes]]:
    """The archive piece by piece, which is whole if it was read to its end and the block was left.
    With `snapshot`, as another transaction of the server sees the data. Raises DumpFailedError."""
    words = ["--format=custom", "--no-owner", "--no-privileges", f"--lock-wait-timeout={LOCK_S}s"]
    words += [f"--snapshot={snapshot}"] if snapshot else []
    command = [str(program), *words, f"--dbname={conninfo}"]
    with _running(command, password, DUMP_S, stdout=subprocess.PIPE) as process:
        output = cast("IO[bytes]", process.stdout)
        yield iter(lambda: output.read(PIECE_BYTES), b"")


def load(program: Path, archive: Iterable[bytes], *, conninfo: str, password: str = "") -> None:
    """Loads the archive into an empty database, all of it or nothing. Raises DumpFailedError."""
    words = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    command = [str(program), *words, f"--dbname={conninfo}"]
    # A broken pipe: it has ended, and said why.
    with (
        _running(command, password, LOAD_S, stdin=subprocess.PIPE) as process,
        suppress(BrokenPipeError),
    ):
        cast("IO[bytes]", process.stdin).writelines(archive)


@contextmanager
def _running(
    command: Sequence[str],
    password: str,
    limit_s: float,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, which has ended well when the block is left. Raises DumpFailedError."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=_environment(password),
            stdin=stdin,
            stdout=stdout,
            stderr=complaints,
        )
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        try:
            yield process
            _close(process)
            code = process.wait()
        finally:
            limit.cancel()
            process.kill()  # nothing if it has ended
            _close(process)
            process.wait()
        if code:
            raise DumpFailedError(_complaint(command, code, complaints))


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _complaint(command: Sequence[str], code: int, complaints: IO[bytes]) -> str:
    complaints.seek(0)
    said = complaints.read(COMPLAINT_BYTES).decode(errors="replace").strip()
    name = Path(command[0]).name
    return (
        f"{name} ended with status {code}: {said or 'it was ended from outside, or took too long'}"
    )


def _environment(password: str) -> Mapping[str, str]:
    # PGHOST, PGOPTIONS and the like of the user's shell must not lead elsewhere. A password in the
    # command's words could be read by everybody on this machine.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    secret = {"PGPASSWORD": password} if password else {}
    return {**kept, **secret, "LC_ALL": "C", "PGCONNECT_TIMEOUT": str(CONNECT_S)}
