"""`make bench`: the service's figures, as a table and in `var/bench/service.json`.

Studios of their own draw with a tiny random-weight Stable Diffusion. The figures are medians or
percentiles of interleaved repetitions; on a machine that does other things too they are worse. A
goal that is missed is said, and fails the run only with STRICT=1.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.bench import Bench, checkout_of
from tests.bench.figures import Figure, is_strict, print_table, verdict, write_json
from tests.bench.parts import ONLY_IF_NAMED, PARTS
from tests.trial import PROJECT, TrialFailedError

RESULTS = PROJECT / "var" / "bench" / "service.json"
FAILED = 2


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, also if a goal is missed (1 with STRICT=1); 2 if a part could not run."""
    options = _options(arguments)
    # Whoever ends the bench, as a time limit does, ends its studios too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    run = _Run(options.only)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-bench-"))
        base = stack.enter_context(checkout_of(options.base)) if options.base else None
        figures = list(run.measure(Bench(Path(folder), options.threads, base)))
    print_table(figures)
    facts = {"torch_threads": options.threads, "base": options.base, "parts": options.only}
    write_json(figures, RESULTS, **facts)
    print(f"\nWritten to {RESULTS.relative_to(PROJECT)}")
    status = verdict(figures, strict=is_strict())
    return FAILED if run.failed else status


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.service", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch, both sides")
    parser.add_argument("--base", default="", help="a commit to compare with, side by side")
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), help=f"of {', '.join(PARTS | ONLY_IF_NAMED)}"
    )
    return parser.parse_args(arguments)


def _parts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS | ONLY_IF_NAMED]
    if unknown:
        allowed = ", ".join(PARTS | ONLY_IF_NAMED)
        raise argparse.ArgumentTypeError(f"no part is named {', '.join(unknown)}; use {allowed}")
    return names or list(PARTS)


class _Run:
    """The parts one after the other, each figure told as soon as it is there."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.failed: list[str] = []

    def measure(self, bench: Bench) -> Iterator[Figure]:
        for name in self.names:
            print(f"{name} ...", flush=True)
            try:
                for figure in (PARTS | ONLY_IF_NAMED)[name](bench):
                    print(f"  {figure.name} = {figure.measured:.4g}", flush=True)
                    yield figure
            except TrialFailedError as error:
                self.failed.append(name)
                print(f"{name} could not be measured: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
