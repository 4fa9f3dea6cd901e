"""Whether a worker of this host can draw: `python -m worker.health [NODE]`.

It reads what the worker's watch writes (`webapp/embedded/worker_health.py`): that is quick, and
true while a large model loads.
"""

import sys
import time
from collections.abc import Sequence

from webapp.embedded.worker_health import default_node, read_health


def trouble_of(node: str) -> str:
    """One sentence that says why this worker cannot draw; "" if it can."""
    health = read_health(node)
    if health is None:
        return "It hasn't started yet, runs on another machine, or writes to another DARKROOM_VAR."
    return health.trouble(now_s=time.monotonic())


def main(words: Sequence[str]) -> int:
    """Prints one line. Returns 0 if the worker is well, 1 if not, 2 for a wrong call."""
    if len(words) > 1 or any(word.startswith("-") for word in words):
        print("Say at most the worker's node name: python -m worker.health [worker@host]")
        return 2
    node = words[0] if words else default_node()
    trouble = trouble_of(node)
    print(f"{node}: {trouble or 'The engine is well.'}")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
