"""What a worker writes down of its engine every few seconds, and what that says of the worker.

It is written by a thread that needs neither the device nor a neighbour, and imports no Django.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from webapp.embedded.paths import VarLayout

FRESH_S = 30.0
STALLED_S = 900.0  # loading a large model from a slow disk is one long silence
# A busy machine may keep that thread waiting; a process that is silent for so long stands still.
SILENT_S = 300.0
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How an engine was at `at_s`, by the clock that all processes of a machine share; `ended_by`
    is a sentence if there is none, or none any more, and "" while it lives."""

    pid: int
    at_s: float
    stalled_s: float = 0.0
    ended_by: str = ""

    def trouble(self, *, now_s: float) -> str:
        """Why it cannot draw, one sentence; "" if its engine is well."""
        if self.ended_by:
            return f"It can't draw. {self.ended_by}"
        age_s = now_s - self.at_s
        if not 0 <= age_s <= FRESH_S:  # a future one is from before the machine was started anew
            return f"It has said nothing for more than {FRESH_S:.0f} seconds."
        if self.stalled_s > STALLED_S:
            return f"Its engine has not moved for {self.stalled_s:.0f} seconds."
        return ""


def default_node() -> str:
    """The Celery node that `-n worker@%h` makes."""
    return f"worker@{socket.gethostname()}"


def own_var() -> Path:
    """The folder that DARKROOM_VAR names, `var` of the project without it."""
    return Path(os.environ.get("DARKROOM_VAR") or _PROJECT / "var")


def health_file(node: str, *, var: Path | None = None) -> Path:
    """Where the worker with this Celery node name writes."""
    return VarLayout(var or own_var()).workers / f"{quote(node, safe='@')}.json"


def write_health(node: str, health: EngineHealth) -> None:
    """Replaces what was written before; raises OSError."""
    file = health_file(node)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(f".{health.pid}")
    draft.write_text(json.dumps(asdict(health)), "utf-8")
    draft.replace(file)


def read_health(node: str, *, var: Path | None = None) -> EngineHealth | None:
    """What was written last; None if nothing was."""
    try:
        return EngineHealth(**json.loads(health_file(node, var=var).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def silence_of(pid: int, *, var: Path, now_s: float) -> str:
    """Why the worker that runs as `pid` must be killed, for the supervisor; "" while it says how it
    is, and before it first did. One that can speak ends by itself if it has to."""
    health = read_health(default_node(), var=var)
    if health is None or health.pid != pid or now_s - health.at_s <= SILENT_S:
        return ""
    return f"it has said nothing for {now_s - health.at_s:.0f} seconds"
