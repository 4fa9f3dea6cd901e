"""`make test` and `make test-slow`: the runs of a gate one after the other, and a closing line that
counts the tests of all of them as pytest does.

Every run is made, also after one that failed. A gate that does not end within its time is ended.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.servers import TEMPLATE
from tests.template import make_template

PROJECT = Path(__file__).resolve().parent.parent
# What moves credits is covered whole, every branch, by its own tests.
MONEY = ["tests/credits", "--cov=webapp.credits", "--cov-fail-under=100"]
REST = ["--ignore=tests/credits"]
SIDE_BY_SIDE = ["-n", "2", "--dist", "worksteal", "--max-worker-restart", "4"]
ALONE = [
    "-n",
    "1",
    "--max-worker-restart",
    "4",
    "-o",
    "timeout=600",
    "-o",
    "faulthandler_timeout=900",
]
CHAOS = ["-m", "tests.chaos", "--seed", "1", "--minutes", "5"]
GATES = {
    "fast": [[*SIDE_BY_SIDE, *MONEY], [*SIDE_BY_SIDE, *REST]],
    "slow": [ALONE],
}
LIMIT_S = {"fast": 45 * 60.0, "slow": 120 * 60.0}
STOP_S = 30.0
FAILED, TIMED_OUT = 1, 124
SAID = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warnings", "error")


def main() -> int:
    """Exit status 0 if every run passed, else that of the first that did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("gate", choices=GATES)
    gate = parser.parse_args().gate
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TIMED_OUT))  # what runs ends, too
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="darkroom-gate-") as folder:
        run = Run(gate, Path(folder), deadline=started + LIMIT_S[gate])
        statuses = [run.pytest(arguments) for arguments in GATES[gate]]
        if gate == "slow":
            statuses.append(run.chaos())
    print(closing_line(run.counts, time.monotonic() - started))
    return next((status for status in statuses if status), 0)


class Run:
    """The runs of one gate: what they share, and what they counted."""

    def __init__(self, gate: str, folder: Path, *, deadline: float) -> None:
        self.gate = gate
        self.folder = folder
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        os.environ[TEMPLATE] = str(make_template(folder / "var"))

    def pytest(self, arguments: list[str]) -> int:
        """Its exit status; TIMED_OUT if it was ended."""
        tally = self.folder / "tally.json"
        tally.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "--gate", self.gate, "--tally", str(tally)]
        status = self.command([*command, *arguments])
        counted = json.loads(tally.read_text("utf-8")) if tally.exists() else {"error": 1}
        self.counts.update(counted)
        return status

    def chaos(self) -> int:
        """The exit status of the short run of `make chaos`, which counts as one test."""
        status = self.command([sys.executable, *CHAOS])
        self.counts["failed" if status else "passed"] += 1
        return status

    def command(self, command: list[str]) -> int:
        """The exit status of a process, which ends with all that it started when time is up."""
        process = subprocess.Popen(command, cwd=PROJECT, start_new_session=True)
        try:
            return process.wait(max(1.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"Not ended in time: {' '.join(command[1:])}", file=sys.stderr, flush=True)
            return TIMED_OUT
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Asks the process and its children, and then makes sure."""
    if process.poll() is not None:
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
        return


def closing_line(counts: Counter[str], seconds: float) -> str:
    """As pytest ends a run: `3 failed, 3432 passed, 2 skipped in 800.12s (0:13:20)`."""
    names = {"error": "errors" if counts["error"] > 1 else "error"}
    parts = [f"{counts[kind]} {names.get(kind, kind)}" for kind in SAID if counts[kind]]
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{rest:02}"
    return f"{', '.join(parts) or 'no tests ran'} in {seconds:.2f}s ({clock})"


if __name__ == "__main__":
    sys.exit(main())
