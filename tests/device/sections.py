"""One section of the first run, in a process of its own: what it finds goes into a file."""

import argparse
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import diffusers
import torch
import transformers

from tests.device import cards, exactness, faults, speed
from tests.device.machine import DeviceName, Machine, machine

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Section:
    """`limit_s` is all the time that it gets on a GPU, starting included."""

    work: Callable[[Machine], dict[str, Any]]
    limit_s: float


def versions(machine: Machine) -> dict[str, Any]:
    """What is installed, and what the device says of itself."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
        "compiler": shutil.which("gcc") or shutil.which("cc") or "",
    }
    if not machine.is_real:
        return found
    free, total = torch.cuda.mem_get_info()
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    smi = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    return found | {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "gpu and driver": smi.stdout.strip(),
        "capability": torch.cuda.get_device_capability(),
        "architectures": torch.cuda.get_arch_list(),
        "memory, bytes": {"free": free, "total": total},
    }


def bench(machine: Machine) -> dict[str, Any]:
    """`make bench-engine`, quick."""
    device, model = ("cuda", "sd15") if machine.is_real else ("cpu", "tiny")
    command = [sys.executable, "-m", "tests.bench.engine.run", "--quick"]
    options = ["--device", device, "--model", model, "--compile", "none"]
    made = subprocess.run(
        [*command, *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECTIONS["bench"].limit_s - 2,
        check=False,
    )
    return {"status": made.returncode, "said": made.stdout[-4000:] + made.stderr[-1000:]}


# In the order of what decides most; what may leave the device unusable is last.
SECTIONS: Final[dict[str, Section]] = {
    "versions": Section(versions, 30),
    "waits": Section(exactness.waits, 40),
    "bits": Section(exactness.bits, 60),
    "sd15_rows": Section(speed.sd15_rows, 100),
    "sdxl_rows": Section(speed.sdxl_rows, 80),
    "row_cap": Section(speed.row_cap, 65),
    "small_cards": Section(cards.small_cards, 70),
    "compiling": Section(speed.compiling, 60),
    "bench": Section(bench, 90),
    "no_room_for_a_preview": Section(faults.no_room_for_a_preview, 25),
    "lost_device": Section(faults.lost_device, 30),
}


def main() -> int:
    """Exit status 0; whatever a section raises ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.sections", description=__doc__)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--device", choices=get_args(DeviceName), required=True)
    parser.add_argument("--models", type=Path, required=True, help="where models are kept")
    parser.add_argument("--to", type=Path, required=True, help="the file for what is found")
    options = parser.parse_args()
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    with machine(options.device, options.models) as made:
        found = SECTIONS[options.section].work(made)
    options.to.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
