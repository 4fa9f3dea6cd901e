"""A full and a read-only disk are real, with a mount or without one."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.media import NAMESPACE, Folder
from tests.trial import PROJECT

WRITES = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(b'x' * 100_000)"
IN_A_NAMESPACE = """
import sys; from pathlib import Path; from tests.chaos.media import Folder
media = Folder(Path(sys.argv[1]))
assert media.is_mounted, "nothing was mounted"
for fault, number in (("storage_full", 28), ("storage_read_only", 30)):
    (media.folder / "before").write_bytes(b"x" * 100_000)
    media.begin(fault)
    try:
        (media.folder / "during").write_bytes(b"x" * 100_000)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"{fault} let a file through")
    assert media.read("before") == b"x" * 100_000
    media.end()
    (media.folder / "after").write_bytes(b"x" * 100_000)
"""


@pytest.mark.parametrize(
    ("fault", "number"),
    [("storage_full", errno.ENOSPC), ("storage_read_only", errno.EROFS)],
)
def test_the_shim_refuses_what_is_written_to_the_folder_and_nothing_else(
    fault: str, number: int, tmp_path: Path
) -> None:
    media = Folder(tmp_path)
    assert not media.is_mounted

    def write(path: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WRITES, str(path)],
            env={**os.environ, **media.settings()},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.stderr

    assert write(media.folder / "before") == ""
    media.begin(fault)
    assert f"[Errno {number}] {os.strerror(number)}" in write(media.folder / "during")
    assert write(tmp_path / "elsewhere") == ""
    assert media.read("before") is not None
    media.end()
    assert write(media.folder / "after") == ""
    assert sorted(media.names()) == ["after", "before"]
    assert media.read("during") is None


def test_a_mounted_folder_becomes_full_and_read_only_and_well_again(tmp_path: Path) -> None:
    ways = [["--mount"], ["--mount", "--user", "--map-root-user"]]
    allowed = [way for way in ways if _runs(["unshare", *way, "true"])]
    if not allowed:
        pytest.skip("no mount namespace may be made here: the shim is what is used")
    done = subprocess.run(
        ["unshare", *allowed[0], sys.executable, "-c", IN_A_NAMESPACE, str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, NAMESPACE: "test"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def _runs(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False, timeout=300).returncode == 0
