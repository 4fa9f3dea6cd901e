"""One child process: started behind the guard, in its own session, ended with its whole group."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Service:
    """What to run, and how to start, watch and stop it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    # Called with the process id, again and again; a service without one is ready at once.
    ready: Callable[[int], bool] | None = None
    ready_timeout_s: float = 60
    # Asked now and then, with the process id: why it must be killed and started again, or "".
    hang: Callable[[int], str] | None = None
    hang_every_s: float = 30
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10
    # What the kernel sends when the supervisor is killed. Servers get their stop signal instead.
    orphan_signal: signal.Signals = signal.SIGKILL
    nice: int = 0
    restart: bool = True
    # Apps are shown in the terminal as well as in their logs.
    echo: bool = True
    # Words before everything else, such as `unshare --user`.
    prefix: tuple[str, ...] = ()

    @property
    def is_server(self) -> bool:
        """True for a process with data to put in order, which is never killed without notice."""
        return self.orphan_signal != signal.SIGKILL

    def command(self) -> list[str]:
        guard = (sys.executable, "-I", "-S", str(GUARD))
        numbers = (os.getpid(), int(self.orphan_signal), self.nice)
        return [*self.prefix, *guard, *map(str, numbers), *self.argv]


class Child:
    """A running service. Start it from the main thread: the kernel's signal for the death of
    the parent is sent when the *thread* that started the child ends."""

    def __init__(self, service: Service, *, output: int, env: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(  # noqa: S603
            service.command(),
            env=dict(env),
            cwd=service.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs.

        What is left of its process group is killed before the process is reaped: until then the
        kernel gives its number to nobody else.
        """
        if self._popen.returncode is None and not _has_exited(self.pid):
            return None
        if self._popen.returncode is None:
            self.kill()
        return self._popen.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process and everything in its group."""
        if self._popen.returncode is None:
            kill_group(self.pid)


def kill_group(group: int) -> None:
    """Kill a process group; nothing happens when it has no process left."""
    # macOS answers PermissionError for a group in which only the dead leader is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def signal_if(pid: int, is_ours: Callable[[], bool], number: int) -> bool:
    """Signal a process that is not our child, if it is ours; return whether it was.

    The check is made while holding the process open (Linux), so that a process which takes over
    the number in between is not hit.
    """
    with _held_open(pid) as handle:
        if not is_ours():
            return False
        with contextlib.suppress(ProcessLookupError):
            _send(handle, pid, number)
    return True


@contextlib.contextmanager
def _held_open(pid: int) -> Iterator[int | None]:
    try:
        handle = os.pidfd_open(pid) if sys.platform == "linux" else None
    except ProcessLookupError:
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _send(handle: int | None, pid: int, number: int) -> None:
    if sys.platform == "linux" and handle is not None:
        signal.pidfd_send_signal(handle, number)
    elif sys.platform != "linux":
        os.kill(pid, number)


def started_at(pid: int) -> str | None:
    """Return when a process started, as a text that no other process of that number shares.

    Returns None when there is no such process, or only its exit code is left.
    """
    if sys.platform == "linux":
        return _started_at_linux(pid)
    return _started_at_ps(pid)


def _started_at_linux(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name and may hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{_boot_id()}/{start_ticks}"


def _started_at_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, started = answer.stdout.strip().partition(" ")
    return None if answer.returncode or state.startswith("Z") else started.strip()


@cache
def _boot_id() -> str:
    # Start times count from boot, so the same pair could come back after a restart.
    return BOOT_ID.read_text(encoding="ascii").strip()


def _has_exited(pid: int) -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return _started_at_ps(pid) is None
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
