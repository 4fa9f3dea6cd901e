"""Starts a run's processes, and starts again what ended, as an init system does.

Everything is started by one thread behind the guard of `webapp.embedded`: when the harness dies,
however it dies, the kernel ends what it started.
"""

import signal
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import send
from webapp.embedded.process import Child, Service

RESTART_S = 1.0
POLL_S = 0.1
KILL_S = 10.0


@dataclass(slots=True)
class _Kept:
    """A service that should run; `due` is when it is started next."""

    service: Service
    child: Child | None = None
    due: float = 0.0
    starts: list[float] = field(default_factory=list)


class Keeper:
    """The processes of one run, by name."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.kept: dict[str, _Kept] = {}
        self.lock = threading.Lock()
        self.is_closing = threading.Event()
        self.thread = threading.Thread(target=self._keep, name="keeper")
        self.thread.start()

    def run(self, service: Service) -> None:
        """Keeps this service running from now on; another one of its name is ended first."""
        with self.lock:
            before = self.kept.get(service.name)
            self.kept[service.name] = _Kept(service, before.child if before else None)
        if before and before.child:
            before.child.kill()

    def pid(self, name: str) -> int | None:
        """Its process; None while it does not run."""
        with self.lock:
            child = self.kept[name].child
            return child.pid if child and child.poll() is None else None

    def stop(self) -> None:
        """Asks each to stop, the last one first, and kills what does not."""
        self.is_closing.set()
        self.thread.join()

    def _keep(self) -> None:
        while not self.is_closing.wait(POLL_S):
            with self.lock:
                for one in self.kept.values():
                    self._look_after(one)
        for one in reversed(self.kept.values()):
            _stop(one)

    def _look_after(self, one: _Kept) -> None:
        if one.child is not None and one.child.poll() is not None:
            one.child = None
            one.due = time.monotonic() + RESTART_S
        if one.child is None and time.monotonic() >= one.due:
            with (self.logs / f"{one.service.name}.log").open("ab") as output:
                service, env = one.service, dict(one.service.env)
                one.child = Child(service, output=output.fileno(), env=env)


def _stop(one: _Kept) -> None:
    if one.child is None or one.child.poll() is not None:
        return
    signal_tree(one.child.pid, signal.SIGCONT)
    one.child.send(one.service.stop_signal)
    deadline = time.monotonic() + one.service.stop_timeout_s
    while one.child.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    one.child.kill()
    while one.child.poll() is None and time.monotonic() < deadline + KILL_S:
        time.sleep(POLL_S)


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True, timeout=300
    )
    children: dict[int, list[int]] = defaultdict(list)
    for line in listed.stdout.splitlines():
        child, parent = map(int, line.split())
        children[parent].append(child)
    found = [pid]
    for one in found:  # grows while it is read
        found += children[one]
    return found


def signal_tree(pid: int, number: signal.Signals) -> list[int]:
    """Signals a process and everything below it (PostgreSQL's backends are no group of its own);
    returns who got it."""
    found = tree(pid)
    send(found, number)
    return found
