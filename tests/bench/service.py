"""`make bench`: the service's figures, as a table and in `var/bench/service.json`.

A studio of its own draws with a tiny random-weight Stable Diffusion. The figures are medians or
percentiles of interleaved repetitions; on a machine that does other things too they are worse.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.books import measure_books
from tests.bench.drawing import measure_overhead, measure_takeover
from tests.bench.figures import Figure, print_table, write_json
from tests.bench.gallery import measure_gallery
from tests.bench.posting import measure_posts
from tests.bench.streams import measure_streams
from webapp.operations.trial import PROJECT, Trial, TrialFailedError

RESULTS = PROJECT / "var" / "bench" / "service.json"
WARM_STARTS = 3
FIELDS = {
    "prompt": "a fox at dusk, storybook illustration",
    "negative_prompt": "people, text",
    "width": "128",
    "height": "128",
    "steps": "20",
    "guidance_scale": "5",
    "sampler": "ddim",
    "model": "tiny",
}
LONG = {**FIELDS, "steps": "100"}
LIBRARIES = ("libtorch", "torch/lib", "site-packages/torch")


def main() -> int:
    """Exit status 0 where every figure is met, 1 where one is not, 2 where it could not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.service", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch, both sides")
    threads = parser.parse_args().threads
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
            figures = list(measure_all(Path(folder), threads=threads))
    except TrialFailedError as error:
        print(f"The bench could not go on: {error}", file=sys.stderr)
        return 2
    print_table(figures)
    write_json(figures, RESULTS, torch_threads=threads)
    print(f"\nWritten to {RESULTS.relative_to(PROJECT)}")
    return int(not all(figure.met for figure in figures))


def measure_all(folder: Path, *, threads: int) -> Iterator[Figure]:
    """Each figure as soon as it is measured; raises TrialFailedError."""
    settings = {"DARKROOM_TORCH_THREADS": str(threads), "DARKROOM_STARTING_CREDITS": "640"}
    trial = Trial(folder, settings)
    print("Starting a studio of its own and a tiny model ...", flush=True)
    with trial.running():
        model = trial.offer_tiny_model(side_px=128)
    yield told(measure_warm_start(trial))
    with trial.running():
        yield told(measure_overhead(trial, model, FIELDS, threads=threads))
        yield told(measure_posts(trial, FIELDS))
        yield told(measure_web(trial))
        yield told(measure_holds(trial))
        yield told(measure_takeover(trial, LONG))
        print(trial.manage("check_credits").strip(), flush=True)
    print("Five hundred people who look on, and a real browser ...", flush=True)
    for figure in measure_streams():
        yield told(figure)
    print("A hundred thousand people and a million lines, on servers of their own ...", flush=True)
    for figure in measure_books():
        yield told(figure)
    print("A million pictures, a hundred thousand of them one person's ...", flush=True)
    for figure in measure_gallery():
        yield told(figure)


def told(figure: Figure) -> Figure:
    """The figure, printed as soon as it is there: the whole bench takes minutes."""
    print(f"{figure.name} = {figure.measured:.4g}", flush=True)
    return figure


def measure_warm_start(trial: Trial) -> Figure:
    """From the command to the first page served, on a folder that has been used before."""
    seconds = []
    for _start in range(WARM_STARTS):
        try:
            seconds.append(trial.start())
        finally:
            trial.stop()
    spread = f"median of {WARM_STARTS}, {min(seconds):.1f} to {max(seconds):.1f}"
    return Figure("warm_start_s", statistics.median(seconds), 10.0, note=spread)


def measure_web(trial: Trial) -> Figure:
    """Resident memory of the web process after all that; raises TrialFailedError where any
    library of torch is mapped into it."""
    process = Path("/proc") / str(trial.pid("web"))
    if any(name in (process / "maps").read_text() for name in LIBRARIES):
        raise TrialFailedError("the web process has loaded torch")
    lines = (process / "status").read_text().splitlines()
    resident_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return Figure("web_rss_mb", resident_kb / 1024, 150.0, note="after the load, without torch")


def measure_holds(trial: Trial) -> Figure:
    """Holds a second on one account; raises TrialFailedError where it was oversold."""
    facts = json.loads(trial.run("-m", "tests.bench.holds"))
    if facts["holds"] != facts["affordable"] or facts["held_ucr"] != facts["holds"] * 200_000:
        raise TrialFailedError(f"the account was not held exactly: {facts}")
    note = f"{facts['holds']} holds from 16 connections, none oversold, fsync on"
    return Figure("holds_per_s", facts["holds"] / facts["seconds"], 300.0, at_least=True, note=note)


if __name__ == "__main__":
    sys.exit(main())
