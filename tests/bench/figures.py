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
    """One figure; `note` says how it came about. What has no goal (`wanted` is None) is told
    beside one that has, such as the milliseconds behind a ratio."""

    name: str
    measured: float
    wanted: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the measured value is on the right side of the wanted one, if there is one."""
        if self.wanted is None:
            return True
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


def print_table(figures: Sequence[Figure]) -> None:
    """A line a figure."""
    print(f"\n{'figure':19} {'measured':>10} {'wanted':>10}  met  how")
    for figure in figures:
        wanted, met = _wanted(figure), _met(figure)
        print(f"{figure.name:19} {figure.measured:>10.4g} {wanted:>10}  {met:3}  {figure.note}")


def verdict(figures: Sequence[Figure], *, strict: bool) -> int:
    """Says which goals were missed; 1 if any was and the run is strict, else 0."""
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        print(f"\n{len(missed)} of {len(figures)} figures miss their goal: {', '.join(missed)}")
    return int(bool(missed) and strict)


def is_strict() -> bool:
    """Whether `STRICT=1` asks for a failure if a goal is missed."""
    return os.environ.get("STRICT", "0") not in {"", "0"}


def write_json(figures: Sequence[Figure], path: Path, **facts: Any) -> None:
    """The figures by name, with the machine and whatever else belongs to them."""
    body: dict[str, Any] = {figure.name: round(figure.measured, 3) for figure in figures}
    body["notes"] = {figure.name: figure.note for figure in figures}
    body["met"] = {one.name: one.met for one in figures if one.wanted is not None}
    body["machine"] = {**machine(), **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _wanted(figure: Figure) -> str:
    if figure.wanted is None:
        return "-"
    return f"{'>=' if figure.at_least else '<='} {figure.wanted:g}"


def _met(figure: Figure) -> str:
    if figure.wanted is None:
        return "-"
    return "yes" if figure.met else "NO"


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
    """None if it is not installed: a machine that only draws has no web framework."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
