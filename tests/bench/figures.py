"""What is measured, what is wanted, and the table and file that say so."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

BYTES_PER_GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `note` says how it came about."""

    name: str
    measured: float
    wanted: float
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the measured value is on the right side of the wanted one."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


def print_table(figures: Sequence[Figure]) -> None:
    """A line a figure."""
    print(f"\n{'figure':19} {'measured':>10} {'wanted':>10}  met  how")
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        met = "yes" if figure.met else "NO"
        wanted = f"{sign} {figure.wanted:g}"
        print(f"{figure.name:19} {figure.measured:>10.4g} {wanted:>10}  {met:3}  {figure.note}")


def write_json(figures: Sequence[Figure], path: Path, **facts: Any) -> None:
    """The figures by name, with the machine and whatever else belongs to them."""
    body: dict[str, Any] = {figure.name: round(figure.measured, 3) for figure in figures}
    body["notes"] = {figure.name: figure.note for figure in figures}
    body["met"] = {figure.name: figure.met for figure in figures}
    body["machine"] = {**machine(), **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, memory, load, versions."""
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * page_size / BYTES_PER_GB, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "diffusers", "django", "celery")},
    }


def _version(package: str) -> str | None:
    """None where it is not installed: a machine that only draws has no web framework."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
