"""Run services together: start in order, restart what crashes, stop in reverse, leave nothing.

One thread does everything, waiting in `select` for output, signals and the next due time. That is
also what makes the kernel's notice of the parent's death safe: it is tied to the starting thread.
"""

import os
import selectors
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from webapp.embedded.errors import StartFailedError, StopRequested
from webapp.embedded.output import last_lines, say
from webapp.embedded.paths import VarLayout
from webapp.embedded.process import Service
from webapp.embedded.record import RunState, end_survivors, only_supervisor
from webapp.embedded.signals import SignalPipe
from webapp.embedded.unit import Unit

READY_POLL_S = 0.03
FORCED_SERVER_STOP_S = 5.0
KILL_TIMEOUT_S = 5.0


class Supervisor:
    """A context manager that owns every process started through it.

    Entering takes the lock of the var folder (AlreadyRunningError when another process has it) and
    ends what a killed supervisor left. Leaving, for whatever reason, stops all services in reverse
    order. With `catch_signals` (main thread only) SIGINT, SIGTERM and SIGHUP end the block quietly
    and a second one kills the apps at once; without, signals are the caller's.
    """

    def __init__(self, layout: VarLayout, *, catch_signals: bool = True) -> None:
        self._layout = layout
        self._catch_signals = catch_signals
        self._units: list[Unit] = []
        self._stop_requests = 0
        self._stopping = False
        self._signals: SignalPipe | None = None
        self._selector: selectors.BaseSelector
        self._stack: ExitStack
        self._state: RunState

    def __enter__(self) -> Self:
        self._layout.create()
        with ExitStack() as stack:
            stack.enter_context(only_supervisor(self._layout.lock))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            if self._catch_signals:
                self._signals = stack.enter_context(SignalPipe())
                self._selector.register(self._signals.reader, selectors.EVENT_READ)
            self._begin_record()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        with self._stack:
            self._stop_all()
        return isinstance(error, StopRequested)

    def start(self, services: Sequence[Service]) -> None:
        """Start services side by side and return when all are ready.

        Raises StartFailedError when one ends before it was ever ready, or is not ready in its time;
        a service without a ready check is restarted instead.
        """
        units = [self._add(service) for service in services]
        started = time.monotonic()
        while waiting := [unit for unit in units if not unit.check_ready()]:
            for unit in waiting:
                if time.monotonic() - started > unit.service.ready_timeout_s:
                    raise StartFailedError(_with_log(unit, "was not ready in time"))
            self._turn(READY_POLL_S)

    def run_once(self, service: Service) -> None:
        """Run a command to its end; raises StartFailedError unless its exit code is 0."""
        unit = self._add(service)
        while (code := self._poll(unit)) is None:
            self._turn(READY_POLL_S, skip=unit)
        self._discard(unit)
        if code:
            raise StartFailedError(
                f"{service.name} failed ({_exit_text(code)}); its reason is above."
            )

    def watch(self) -> None:
        """Keep the services running until somebody asks to stop; then raises StopRequested."""
        while True:
            self._turn(self._until_next_due_s())

    def _begin_record(self) -> None:
        ended = end_survivors(self._layout.run_state)
        if ended:
            say(f"ended what an earlier run left behind: {', '.join(ended)}")
        self._state = RunState(self._layout.run_state)

    def _add(self, service: Service) -> Unit:
        # A server under `embedded_servers` has nobody to empty its pipe.
        pumped = service.echo or self._catch_signals
        unit = Unit(service, logs=self._layout.logs, state=self._state, pumped=pumped)
        self._units.append(unit)
        self._launch(unit)
        return unit

    def _discard(self, unit: Unit) -> None:
        self._units.remove(unit)
        unit.close()

    def _launch(self, unit: Unit) -> None:
        unit.start()
        if unit.pump:
            self._selector.register(unit.pump.reader, selectors.EVENT_READ, unit)

    def _turn(self, timeout_s: float | None, *, skip: Unit | None = None) -> None:
        """Wait for something to happen, or `timeout_s`, and deal with all of it."""
        if self._signals is None:  # nobody tells us that a child ended
            timeout_s = READY_POLL_S if timeout_s is None else min(timeout_s, READY_POLL_S)
        for key, _ in self._selector.select(timeout_s):
            self._copy_output(key)
        self._note_signals()
        if not self._stopping:
            self._look_after(skip)

    def _copy_output(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, Unit) and key.data.pump and not key.data.pump.copy():
            self._selector.unregister(key.fileobj)

    def _note_signals(self) -> None:
        if self._signals is None:
            return
        self._stop_requests += self._signals.stops_requested()
        if self._stop_requests and not self._stopping:
            raise StopRequested

    def _look_after(self, skip: Unit | None) -> None:
        for unit in self._units:
            if unit is skip:
                continue
            code = self._poll(unit)
            if code is not None:
                self._after_crash(unit, code)
            self._kill_if_it_hangs(unit)
            if unit.restart_at is not None and time.monotonic() >= unit.restart_at:
                self._launch(unit)

    def _kill_if_it_hangs(self, unit: Unit) -> None:
        reason = unit.find_hang()
        if reason and unit.child is not None:
            say(f"{unit.service.name} is killed: {reason}")
            unit.child.kill()

    def _poll(self, unit: Unit) -> int | None:
        reader = unit.pump.reader if unit.pump else None
        code = unit.poll()
        if code is not None and reader is not None and reader in self._selector.get_map():
            self._selector.unregister(reader)
        return code

    def _after_crash(self, unit: Unit, code: int) -> None:
        if unit.service.ready and not unit.ready:
            raise StartFailedError(
                _with_log(unit, f"ended before it was ready, with {_exit_text(code)}")
            )
        if not unit.service.restart:
            say(f"{unit.service.name} ended with {_exit_text(code)}")
            return
        if unit.service.is_server:
            say(last_lines(unit.log_file), name=unit.service.name)
        wait_s = unit.schedule_restart()
        name = unit.service.name
        say(f"{name} ended unexpectedly with {_exit_text(code)}; starting it again in {wait_s:g} s")

    def _until_next_due_s(self) -> float | None:
        times = [time_s for unit in self._units for time_s in (unit.restart_at, unit.ask_at)]
        due = [time_s for time_s in times if time_s is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _stop_all(self) -> None:
        self._stopping = True
        if self._stop_requests:
            say("stopping; Ctrl-C again to stop at once")
        with ExitStack() as stack:  # last in, first out; one that fails does not spare the others
            stack.callback(self._state.close)
            for unit in self._units:
                stack.callback(unit.close)
                stack.callback(self._stop, unit)

    def _stop(self, unit: Unit) -> None:
        if unit.child is None:
            return
        if self._wants_notice(unit):
            unit.child.send(unit.service.stop_signal)
            self._await_end(unit, unit.service.stop_timeout_s)
        if unit.child is not None:
            unit.child.kill()
            if not self._await_end(unit, KILL_TIMEOUT_S):
                say(f"{unit.service.name} (process {unit.child.pid}) cannot be ended")

    def _wants_notice(self, unit: Unit) -> bool:
        # A server's orderly stop is short and spares the next start a recovery: never skip it.
        return unit.service.is_server or not self._forced

    @property
    def _forced(self) -> bool:
        return self._stop_requests > 1

    def _await_end(self, unit: Unit, patience_s: float) -> bool:
        started = time.monotonic()
        while self._poll(unit) is None and unit.child is not None:
            waited_s = time.monotonic() - started
            if waited_s > (self._forced_patience_s(unit) if self._forced else patience_s):
                return False
            self._turn(READY_POLL_S)
        return True

    def _forced_patience_s(self, unit: Unit) -> float:
        return FORCED_SERVER_STOP_S if unit.service.is_server else 0.0


def _exit_text(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _with_log(unit: Unit, what: str) -> str:
    relative = os.path.relpath(unit.log_file)
    return f"{unit.service.name} {what}. The end of {relative}:\n{last_lines(unit.log_file)}"
