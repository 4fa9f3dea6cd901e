"""Ten minutes on a GPU that nobody has tried yet: `python -m tests.device.first_run`.

Each section is a process of its own with a time limit, and the results file is written after each,
so that nothing is lost when one hangs or loses the device. `--device cpu` and `--device pretend`
try the script itself, with tiny models, if there is no GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from tests.device.machine import DeviceName
from tests.device.sections import PROJECT, SECTIONS

IN_ALL_S = 560.0
LEAST_S = 10.0
SLOWER = 4  # on a CPU, with tiny models
TOLD_LETTERS = 1500
TRY_S = 120.0
TRY_DEVICE = """
from worker.config import EngineConfig
from worker.pipelines.devices import DeviceUnavailable, check_device
try:
    check_device(EngineConfig(device="cuda"))
except DeviceUnavailable as error:
    print(error)
"""


@dataclass(slots=True)
class FirstRun:
    """`found`: section -> what it found, or why it found nothing, and its seconds."""

    device: str
    to: Path
    models: Path
    ends_s: float
    found: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str) -> bool:
        """Takes the section and writes the file. False if it found nothing."""
        patience = 1 if self.device == "cuda" else SLOWER
        limit_s = min(patience * SECTIONS[name].limit_s, self.ends_s - time.monotonic())
        if limit_s < LEAST_S:
            self._keep(name, {"failed": "there was no time left"})
            return False
        began_s = time.monotonic()
        outcome = self._outcome(name, limit_s)
        self._keep(name, outcome | {"seconds_in_all": round(time.monotonic() - began_s, 1)})
        return "failed" not in outcome

    def _outcome(self, name: str, limit_s: float) -> dict[str, Any]:
        answer = self.models / f"{name}.json"
        answer.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.device.sections", name]
        options = ["--device", self.device, "--models", str(self.models), "--to", str(answer)]
        try:
            made = subprocess.run(
                [*command, *options],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"it took longer than {limit_s:.0f} s"}
        # A process that lost its device may write its answer and then die of it.
        if not answer.exists():
            return {"failed": made.stderr[-TOLD_LETTERS:] or f"exit status {made.returncode}"}
        return {"status": made.returncode, **json.loads(answer.read_text("utf-8"))}

    def _keep(self, name: str, outcome: dict[str, Any]) -> None:
        self.found[name] = outcome
        body = {
            "device": self.device,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sections": self.found,
        }
        self.to.parent.mkdir(parents=True, exist_ok=True)
        self.to.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 if every section found something, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.first_run", description=__doc__)
    parser.add_argument("--device", choices=get_args(DeviceName), default="cuda")
    parser.add_argument("--only", help="sections, with commas between: " + ", ".join(SECTIONS))
    parser.add_argument("--to", type=Path, default=PROJECT / "var" / "device" / "first_run.json")
    parser.add_argument("--seconds", type=float, default=IN_ALL_S, help="for all of them")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(SECTIONS)
    if unknown := [name for name in names if name not in SECTIONS]:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if options.device == "cuda" and (trouble := device_trouble()):
        print(trouble, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="darkroom-first-run-") as folder:
        ends_s = time.monotonic() + options.seconds
        run = FirstRun(options.device, options.to, Path(folder), ends_s)
        have_found = [_told(run, name) for name in names]
    print(f"Written to {options.to}")
    return 0 if all(have_found) else 1


def device_trouble() -> str:
    """Why there is nothing to run on, one sentence; "" if the device computes. In a process of its
    own: this one is to hold no part of the device."""
    command = [sys.executable, "-W", "ignore", "-c", TRY_DEVICE]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=TRY_S, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr[-TOLD_LETTERS:]


def _told(run: FirstRun, name: str) -> bool:
    print(f"{name} ...", flush=True)
    has_found = run.take(name)
    print(json.dumps(run.found[name], indent=1), flush=True)
    return has_found


if __name__ == "__main__":
    sys.exit(main())
