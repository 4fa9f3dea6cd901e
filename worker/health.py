"""Whether a worker of this host can draw: `python -m worker.health [NODE]`.

The worker writes down every few seconds how its engine is, from a thread that needs neither the
device nor a neighbour, and this reads it: it is quick, and true while a large model loads.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from webapp.embedded.paths import VarLayout

FRESH_S = 30.0
STALLED_S = 900.0  # loading a large model from a slow disk is one long silence
_PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How an engine was at `at_s`, by the clock that all processes of a machine share; `ended_by`
    is "" while it lives."""

    pid: int
    at_s: float
    stalled_s: float = 0.0
    ended_by: str = ""

    def trouble(self, *, now_s: float) -> str:
        """One sentence; "" where the engine is well."""
        if self.ended_by:
            return f"Its engine has ended: {self.ended_by}"
        age_s = now_s - self.at_s
        if not 0 <= age_s <= FRESH_S:  # a future one is from before the machine was started anew
            return f"It has said nothing for more than {FRESH_S:.0f} seconds."
        if self.stalled_s > STALLED_S:
            return f"Its engine has not moved for {self.stalled_s:.0f} seconds."
        return ""


def default_node() -> str:
    """The Celery node that `-n worker@%h` makes."""
    return f"worker@{socket.gethostname()}"


def health_file(node: str) -> Path:
    """Where the worker with this Celery node name writes."""
    folder = VarLayout(Path(os.environ.get("DARKROOM_VAR") or _PROJECT / "var")).workers
    return folder / f"{quote(node, safe='@')}.json"


def write_health(node: str, health: EngineHealth) -> None:
    """Replaces what was written before; raises OSError."""
    file = health_file(node)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(f".{health.pid}")
    draft.write_text(json.dumps(asdict(health)), "utf-8")
    draft.replace(file)


def read_health(node: str) -> EngineHealth | None:
    """What was written last; None where nothing was."""
    try:
        return EngineHealth(**json.loads(health_file(node).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def trouble_of(node: str) -> str:
    """One sentence that says why this worker cannot draw; "" where it can."""
    health = read_health(node)
    if health is None:
        return "It has not begun, or writes to another DARKROOM_VAR."
    return health.trouble(now_s=time.monotonic())


def main(words: Sequence[str]) -> int:
    """Prints one line. Returns 0 where the worker is well, 1 where not, 2 for a wrong call."""
    if len(words) > 1 or any(word.startswith("-") for word in words):
        print("Say at most the worker's node name: python -m worker.health [worker@host]")
        return 2
    node = words[0] if words else default_node()
    trouble = trouble_of(node)
    print(f"{node}: {trouble or 'The engine is well.'}")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
