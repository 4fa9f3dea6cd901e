"""What is stopped for a while goes on afterwards, whatever it is."""

import signal
import time
from pathlib import Path

import pytest

from tests.chaos.diary import Diary
from tests.chaos.keeper import tree
from tests.chaos.media import Folder
from tests.chaos.stack import ChaosStack
from webapp.embedded.process import Service

PATIENCE_S = 20.0


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until(pids: list[int], *, stopped: bool) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(is_stopped(pid) != stopped for pid in pids):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kept", "name"), [("second_worker", "second_worker"), ("studio", "supervisor")]
)
def test_a_pause_ends_for_a_supervisor_too(kept: str, name: str, tmp_path: Path) -> None:
    diary = Diary(tmp_path / "log.jsonl")
    stack = ChaosStack(tmp_path, media=Folder(tmp_path), diary=diary)
    shell = Service(name=kept, argv=("sh", "-c", "sleep 600; true"))
    try:
        stack.keeper.run(shell)
        while not (pid := stack.pid(name)) or len(tree(pid)) < 2:
            time.sleep(0.02)
        stopped = stack.hit(name, signal.SIGSTOP)
        assert stopped == ([pid] if name == "supervisor" else tree(pid))
        wait_until(stopped, stopped=True)
        stack.resume_all()
        wait_until(stopped, stopped=False)
    finally:
        stack.stop()
        diary.close()
