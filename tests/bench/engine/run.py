"""`make bench-engine`: the engine against what one would do without it.

b0 is diffusers' `pipe()` under a lock; b1 the same, its denoiser compiled by `torch.compile`; b2
coalesces requests with equal parameters that come within 50 ms into one `pipe()` call of at most 8.
All of them get the same requests, in turn in one process, in the number formats and the memory
layout that the worker loads the model in; b1 is the whole denoiser compiled, which the engine is
not. On CUDA a run in which the engine drew without its graphs is void. A table is printed;
`var/bench` gets `engine.json` and `engine.svg`. On a machine that does other things too the figures
are worse.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import diffusers
import torch
import transformers

from tests.bench.engine.goals import figures_of, light_table, names_of, table
from tests.bench.engine.loads import BenchFailedError
from tests.bench.engine.measure import Bench, Results
from tests.bench.engine.models import BenchModel, ModelName, build
from tests.bench.engine.plan import plan_for
from tests.bench.engine.plot import Plot
from tests.bench.engine.requests import Mix
from tests.bench.engine.systems import COALESCED_AT_MOST, EngineSystem, PipeSystem, System
from tests.bench.figures import Figure, machine, print_table
from worker.config import Dtype, EngineConfig
from worker.pipelines.loader import choose_dtype, lay_out_for_convolutions

PROJECT = Path(__file__).parents[3]
FOLDER = PROJECT / "var" / "bench"
JSON_NAME, SVG_NAME = "engine.json", "engine.svg"
COMPILERS = ("cc", "gcc", "clang", "c++", "g++")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 if every goal is met, 1 if one is not, 2 if it could not run."""
    options = options_from(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("The bench could not run: torch finds no CUDA device here.", file=sys.stderr)
        return 2
    try:
        results = measure(options)
    except BenchFailedError as error:
        print(f"The bench could not go on: {error}", file=sys.stderr)
        return 2
    if options.device == "cuda" and results.fingerprint.get("graphs") != "yes":
        print("The figures are void: the engine drew without its CUDA graphs.", file=sys.stderr)
        return 2
    figures = figures_of(results, device=options.device, model=options.model)
    print(f"\n{table(results)}\n\n{light_table(results)}")
    print_table(figures)
    write(results, figures, options)
    return int(not all(figure.met for figure in figures))


def options_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; model, threads and compile mode follow from the device unless given."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine.run", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", choices=get_args(ModelName), help="tiny on a CPU, else sd15")
    parser.add_argument("--threads", type=int, help="CPU threads of torch; 1 on a CPU")
    parser.add_argument("--quick", action="store_true", help="few pictures: whether it runs at all")
    parser.add_argument(
        "--compile",
        metavar="MODE",
        help="torch.compile mode of b1, or none: default on CUDA where there is a C compiler",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other requests")
    options = parser.parse_args(arguments)
    on_cuda = options.device == "cuda"
    options.model = options.model or ("sd15" if on_cuda else "tiny")
    options.threads = options.threads or (None if on_cuda else 1)
    options.compile = options.compile or ("default" if on_cuda and has_compiler() else "none")
    return options


def has_compiler() -> bool:
    """Whether `torch.compile` finds the C compiler that it needs."""
    return any(shutil.which(name) for name in COMPILERS)


def measure(options: argparse.Namespace) -> Results:
    """All figures; raises BenchFailedError."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    quieten()
    plan = plan_for(options.model, is_quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        tell(f"building {options.model}")
        model = build(options.model, Path(folder) / "model", device=options.device)
        mix = Mix(model.source, model.side_px, seed=options.seed)
        with systems(model, options) as under_test:
            return Bench(under_test, mix, plan, options.device, tell).measure()


@contextmanager
def systems(model: BenchModel, options: argparse.Namespace) -> Iterator[dict[str, System]]:
    """The baselines that can run here, and the engine; closed at the end."""
    given: Dtype = "float32" if model.source.slug == "tiny" else "auto"
    config = EngineConfig(device=options.device, dtype=given, threads=options.threads)
    dtype = choose_dtype(config, torch.device(options.device), model.source.family)
    pipe = load_pipe(model, device=options.device, dtype=dtype)
    found: dict[str, System] = {"b0": PipeSystem("b0", pipe)}
    if options.compile != "none":
        found["b1"] = PipeSystem("b1", compiled(pipe, options.compile))
    found["b2"] = PipeSystem("b2", sibling(pipe), at_most=COALESCED_AT_MOST)
    found["engine"] = EngineSystem(config)
    try:
        yield found
    finally:
        for system in found.values():
            system.close()


def quieten() -> None:
    """No progress bars, and no advice on safety checkers: a random-weight model has none."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()


def load_pipe(model: BenchModel, *, device: str, dtype: torch.dtype) -> Any:
    """The model as diffusers itself loads it, laid out on CUDA as the worker lays it out."""
    pipe = diffusers.DiffusionPipeline.from_pretrained(
        model.folder, dtype=dtype, local_files_only=True
    ).to(device)
    pipe.set_progress_bar_config(disable=True)
    if device == "cuda":
        lay_out_for_convolutions(pipe)
    return pipe


def sibling(pipe: Any) -> Any:
    """Another pipeline of the same weights, with a scheduler of its own."""
    beside = type(pipe)(**pipe.components)
    beside.set_progress_bar_config(disable=True)
    return beside


def compiled(pipe: Any, mode: str) -> Any:
    """The same weights, the denoiser compiled; shapes are compiled as they first come."""
    beside = sibling(pipe)
    beside.unet = torch.compile(beside.unet, mode=mode, dynamic=False)
    return beside


def write(results: Results, figures: Sequence[Figure], options: argparse.Namespace) -> None:
    """The results file and the plot; the last run on a GPU stays in the file beside later ones."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / JSON_NAME
    body = body_of(results, figures, options)
    body["gpu"] = dict(body) if options.device == "cuda" else gpu_of(path)
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    title = f"Latency against load: {options.model} on {options.device}"
    (FOLDER / SVG_NAME).write_text(Plot(results.loads).svg(title), encoding="utf-8")
    names = f"{JSON_NAME} and {SVG_NAME}"
    print(f"\nWritten to {FOLDER.relative_to(PROJECT)}: {names}")


def gpu_of(path: Path) -> Any:
    """What the file at `path` says of a GPU, or None."""
    return json.loads(path.read_text(encoding="utf-8")).get("gpu") if path.exists() else None


def body_of(
    results: Results, figures: Sequence[Figure], options: argparse.Namespace
) -> dict[str, Any]:
    """The results file but for what it says of a GPU: the headline by name, then the details."""
    on_cuda = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "model": options.model,
        **names_of(results),
        "met": {figure.name: figure.met for figure in figures},
        "wanted": {figure.name: figure.wanted for figure in figures},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "seed": options.seed,
        "threads": torch.get_num_threads(),
        "b1_compile_mode": None if options.compile == "none" else options.compile,
        "versions": {
            "torch": str(torch.__version__),
            "diffusers": str(diffusers.__version__),
            "transformers": str(transformers.__version__),
            "python": platform.python_version(),
        },
        "machine": machine(),
        "details": details_of(results),
    }


def details_of(results: Results) -> dict[str, Any]:
    """Every load on every system."""
    return {
        "saturation": {name: asdict(of_one) for name, of_one in results.saturation.items()},
        "loads": {
            f"{load:g}": {name: asdict(of_one) for name, of_one in by_system.items()}
            for load, by_system in results.loads.items()
        },
        "dump": {name: asdict(of_one) for name, of_one in results.dump.items()},
        "light_p95_s": results.light_p95_s,
        "engine_fingerprint": results.fingerprint,
        "batch1": asdict(results.overhead) if results.overhead else None,
    }


def tell(what: str) -> None:
    """What is being measured: the whole takes minutes."""
    print(f"{what} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
