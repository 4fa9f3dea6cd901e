"""Sections: what rows, graphs, compiled code and decoding cost on the device."""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from tests.bench.engine.run import has_compiler
from tests.device.drawing import request_for
from tests.device.machine import Machine, Model
from tests.pipelines.drawing import begin, step
from worker.engine.engine import Engine
from worker.pipelines.denoising import Denoising
from worker.pipelines.graphs import Graphs
from worker.pipelines.memory import is_out_of_memory, release_memory
from worker.pipelines.runner import DiffusersRunner

NEVER = 10**9
WARM_STEPS, TIMED_STEPS = 5, 12
CLIENTS, CLIENTS_STEPS = 8, 30
ROWS = {"sd15": (1, 2, 4, 8, 16, 32), "sdxl": (1, 2, 4, 8), "tiny": (1, 2, 4)}


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds of one step: the device's by its events, the host's until it could go on, and
    from the first to the last of many, each of them."""

    device_ms: float | None
    host_ms: float
    wall_ms: float
    rows_per_s: float


def sd15_rows(machine: Machine) -> dict[str, Any]:
    """See `_rows_of`."""
    return _rows_of(machine, machine.large("sd15"), ROWS["sd15" if machine.is_real else "tiny"])


def sdxl_rows(machine: Machine) -> dict[str, Any]:
    """See `_rows_of`; and decoding in float32, in bfloat16 and in tiles."""
    model = machine.large("sdxl")
    found = _rows_of(machine, model, ROWS["sdxl" if machine.is_real else "tiny"])
    return found | {"decode": _decoded(machine, model)}


def _rows_of(machine: Machine, model: Model, counts: tuple[int, ...]) -> dict[str, Any]:
    """Paces by rows and by how the call is made: op by op, from a graph of that, compiled, from a
    graph of compiled code; None for a way that there is not here."""
    ways: dict[str, Callable[[], DiffusersRunner]] = {
        "eager": lambda: _with_graphs(machine, machine.runner(), NEVER)
    }
    if machine.device.type == "cuda":
        ways["graph"] = lambda: _with_graphs(machine, machine.runner(), 1)
    if machine.is_real and has_compiler():
        ways["compiled"] = lambda: _with_graphs(machine, machine.runner(compile="on"), NEVER)
        ways["compiled graph"] = lambda: _with_graphs(machine, machine.runner(compile="on"), 1)
    found: dict[str, Any] = {}
    for way, make in ways.items():
        runner = make()
        for rows in counts:
            if way.startswith("compiled") and rows not in {2, 16}:  # minutes for all of them
                continue
            found[f"{rows} rows, {way}"] = _pace_of(machine, runner, model, rows)
        del runner
        release_memory()
    return found


def _with_graphs(machine: Machine, runner: DiffusersRunner, hot_calls: int) -> DiffusersRunner:
    runner._graphs = Graphs(machine.device, hot_calls=hot_calls)
    return runner


def _pace_of(
    machine: Machine, runner: DiffusersRunner, model: Model, rows: int
) -> dict[str, Any] | str:
    steps = WARM_STEPS + TIMED_STEPS
    try:
        batch = [begin(runner, each) for each in _requests(model, rows, steps=steps)]
        for _ in range(WARM_STEPS):
            step(runner, batch)
            while runner.idle():
                pass
        return vars_of(_timed(machine, runner, batch, rows))
    except Exception as error:  # so many rows do not fit: the others count
        if not is_out_of_memory(error):
            raise
        return "out of memory"


def vars_of(pace: Pace) -> dict[str, Any]:
    """Rounded, for the file."""
    return {
        "device_ms": None if pace.device_ms is None else round(pace.device_ms, 2),
        "host_ms": round(pace.host_ms, 2),
        "wall_ms": round(pace.wall_ms, 2),
        "rows_per_s": round(pace.rows_per_s, 1),
    }


def _requests(model: Model, rows: int, **changes: Any) -> list[Any]:
    """So many that they take `rows` rows: two each with guidance, one without."""
    guided = [request_for(model, seed=seed, **changes) for seed in range(rows // 2)]
    single = [request_for(model, guidance_scale=1.0, **changes)] if rows % 2 else []
    return guided + single


def _timed(machine: Machine, runner: DiffusersRunner, batch: list[Denoising], rows: int) -> Pace:
    machine.synchronize()
    runner.step_times()
    host_ms, began_s = [], time.perf_counter()
    for _ in range(TIMED_STEPS):
        asked_s = time.perf_counter()
        step(runner, batch, shape="timed")
        host_ms.append((time.perf_counter() - asked_s) * 1000)
    machine.synchronize()
    wall_s = (time.perf_counter() - began_s) / TIMED_STEPS
    times = [told.seconds * 1000 for told in runner.step_times()]
    return Pace(
        device_ms=statistics.median(times) if times else None,
        host_ms=statistics.median(host_ms),
        wall_ms=wall_s * 1000,
        rows_per_s=rows / wall_s,
    )


def _decoded(machine: Machine, model: Model) -> dict[str, Any]:
    """Seconds and peak megabytes of one decode, by number format and in tiles."""
    if not machine.is_real:
        return {}
    pipe = machine.runner()._models.get(model.source).pipeline
    side = model.side_px // pipe.vae_scale_factor
    latents = torch.randn(1, 4, side, side, device=machine.device)
    found = {}
    for name, dtype, in_tiles in (
        ("float32", torch.float32, False),
        ("bfloat16", torch.bfloat16, False),
        ("bfloat16 tiles", torch.bfloat16, True),
    ):
        pipe.vae.to(dtype)
        if in_tiles:
            pipe.vae.enable_tiling()
        found[name] = _decode_once(machine, pipe.vae, latents.to(dtype))
    return found


@torch.no_grad()
def _decode_once(machine: Machine, vae: Any, latents: torch.Tensor) -> dict[str, float]:
    vae.decode(latents)  # the first one finds its kernels
    machine.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, began_s = torch.cuda.memory_allocated(), time.perf_counter()
    vae.decode(latents)
    machine.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    return {"seconds": round(time.perf_counter() - began_s, 4), "peak_mb": round(peak / 2**20)}


# The whole engine


@contextmanager
def engine_of(runner: DiffusersRunner) -> Iterator[Engine]:
    """An engine at work."""
    engine = Engine(runner, runner._config)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def row_cap(machine: Machine, *, seconds: float = 40.0) -> dict[str, Any]:
    """What the cap comes to while eight people ask for one image after the other, beside the
    paces that it was learned from."""
    model, runner = machine.large("sdxl"), machine.runner()
    until_s = time.monotonic() + (seconds if machine.is_real else 5.0)
    drawn: list[int] = []
    with engine_of(runner) as engine:

        def ask(number: int) -> None:
            while time.monotonic() < until_s:
                request = request_for(model, owner_id=f"user-{number}", steps=CLIENTS_STEPS)
                engine.submit(request).result(300)
                drawn.append(number)

        with ThreadPoolExecutor(CLIENTS) as people:
            list(people.map(ask, range(CLIENTS)))  # and raises what any of them raised
        shape = next(iter(engine._row_cap._shapes))
        known = engine._row_cap._shapes[shape]
        paces = {
            way: {rows: round(pace.rate, 2) for rows, pace in sorted(by_rows.items())}
            for way, by_rows in known.paces.items()
        }
        return {"cap": engine._row_cap.cap(shape), "rows per second": paces, "images": len(drawn)}


def compiling(machine: Machine) -> dict[str, Any]:
    """Seconds to compile one shape when nobody waits, and a step before and after."""
    if not has_compiler():
        return {"compiled": "there is no C compiler here"}
    runner, model = machine.runner(compile="on"), machine.large("sd15")
    _with_graphs(machine, runner, NEVER)
    batch = [begin(runner, request_for(model, steps=60))]
    step(runner, batch)
    before = vars_of(_timed(machine, runner, batch, 2))
    began_s = time.perf_counter()
    while runner.idle():
        pass
    seconds = time.perf_counter() - began_s
    step(runner, batch)
    after = vars_of(_timed(machine, runner, batch, 2))
    state = runner.compile_state()
    return {"state": state, "seconds": round(seconds, 1), "before": before, "after": after}
