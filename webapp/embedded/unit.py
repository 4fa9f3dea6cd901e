"""A service under supervision: its process, its output, and when it may be started again."""

import time
from pathlib import Path

from webapp.embedded.output import LinePump, Log, log_path
from webapp.embedded.process import Child, Service, started_at
from webapp.embedded.record import RUN_TOKEN, Recorded, RunState

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0
# A run that lasted this long was a good one: the next crash starts counting anew.
GOOD_RUN_S = 60.0


class Unit:
    """One service of a supervisor. States: waiting -> running -> waiting (after a crash) -> ...

    With `pumped` its output comes through a pipe, which somebody has to empty all the time;
    without, it is written straight into the log, which nobody can put aside meanwhile.
    """

    def __init__(self, service: Service, *, logs: Path, state: RunState, pumped: bool) -> None:
        self.service = service
        self.log_file = log_path(logs, service.name)
        self.pump: LinePump | None = None
        self.child: Child | None = None
        self.ready = False
        self.restart_at: float | None = None
        self.ask_at: float | None = None  # whether it hangs
        self._log = Log(self.log_file)
        self._pumped = pumped
        self._state = state
        self._crashes = 0
        self._started = 0.0

    def start(self) -> None:
        """Start the process and write it down."""
        self.restart_at = None
        self.pump = self._make_pump()
        output = self.pump.writer if self.pump else self._log.fileno()
        env = {**self.service.env, RUN_TOKEN: self._state.token}
        self.child = Child(self.service, output=output, env=env)
        self._started = time.monotonic()
        if self.pump:
            self.pump.close_writer()
        self._write_down(self.child.pid)
        self._plan_asking()

    def poll(self) -> int | None:
        """Return the exit code of a process that has just ended, once; None otherwise."""
        code = self.child.poll() if self.child else None
        if code is not None:
            self._forget_process()
        return code

    def check_ready(self) -> bool:
        """Ask the running service whether it is ready; remember a yes."""
        if self.child and not self.ready:
            self.ready = self.service.ready is None or self.service.ready(self.child.pid)
        return self.ready

    def find_hang(self) -> str:
        """Why the running process must be killed; "" if it is well, or not to be asked yet."""
        if self.child is None or self.service.hang is None:
            return ""
        if self.ask_at is None or time.monotonic() < self.ask_at:
            return ""
        self._plan_asking()
        return self.service.hang(self.child.pid)

    def schedule_restart(self) -> float:
        """Plan the next start after a crash; return the wait in seconds: 0.5, 1, 2 ... 30."""
        good = time.monotonic() - self._started > GOOD_RUN_S
        self._crashes = 1 if good else self._crashes + 1
        wait_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (self._crashes - 1))
        self.restart_at = time.monotonic() + wait_s
        return wait_s

    def close(self) -> None:
        """Close the log; the process must have ended."""
        self._log.close()

    def _make_pump(self) -> LinePump | None:
        if not self._pumped:
            return None
        return LinePump(self.service.name, self._log, echo=self.service.echo)

    def _write_down(self, pid: int) -> None:
        started = started_at(pid)
        if started is None:  # it has ended already; poll() will say so
            return
        service = self.service
        self._state.add(
            Recorded(service.name, pid, started, int(service.stop_signal), service.stop_timeout_s)
        )

    def _plan_asking(self) -> None:
        if self.service.hang is not None:
            self.ask_at = time.monotonic() + self.service.hang_every_s

    def _forget_process(self) -> None:
        self.child = self.ask_at = None
        self._state.remove(self.service.name)
        if self.pump:
            self.pump.close()
            self.pump = None
