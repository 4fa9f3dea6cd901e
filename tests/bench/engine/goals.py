"""What is wanted of the figures, and the tables that put them side by side."""

from collections.abc import Iterator
from math import nan

from tests.bench.engine.measure import Results
from tests.bench.engine.models import ModelName
from tests.bench.engine.summary import Summary
from tests.bench.figures import Figure

HIGH_LOAD = 0.95


def figures_of(results: Results, *, device: str, model: ModelName) -> list[Figure]:
    """The figures that something is wanted of; NaN, which meets nothing, if one of them could
    not be measured."""
    figures = list(_goals_everywhere(results))
    if device == "cpu":
        return [*figures, *_goals_on_cpu(results)]
    return [*figures, *(_goals_of_sd15(results) if model == "sd15" else _goals_of_sdxl(results))]


def names_of(results: Results) -> dict[str, float | None]:
    """The headline figures by the names of the results file; None if not measured."""
    values = {
        "batch1_overhead_pct": results.overhead.percent if results.overhead else nan,
        "mixed_vs_b0": throughput_gain(results, "b0"),
        "mixed_vs_b1": throughput_gain(results, "b1"),
        "mixed_vs_b2": throughput_gain(results, "b2"),
        "cancel_steps": float(cancel_steps(results)),
        "light_p95_gain": light_p95_gain(results),
        "p95_gain_vs_b1": p95_gain(results, "b1"),
        "p95_gain_vs_b2": p95_gain(results, "b2"),
        "quick_draw_s": results.quick_draw_s,
        "output_deviation_max": results.deviation_max,
        "output_deviation_share": results.deviation_share,
    }
    return {name: None if value != value else round(value, 4) for name, value in values.items()}


def throughput_gain(results: Results, over: str) -> float:
    """The engine's images/s at saturation over those of the system `over`."""
    if over not in results.saturation:
        return nan
    return results.saturation["engine"].images_per_s / results.saturation[over].images_per_s


def p95_gain(results: Results, over: str) -> float:
    """How many times the engine's p95 at 0.95 of capacity fits into that of the system `over`."""
    measured = results.loads.get(HIGH_LOAD, {})
    if over not in measured:
        return nan
    return measured[over].p95_s / measured["engine"].p95_s


def light_p95_gain(results: Results) -> float:
    """How many times the light users' p95 fits into the one they have with b0."""
    return results.light_p95_s["b0"] / results.light_p95_s["engine"]


def cancel_steps(results: Results) -> int:
    """The most denoiser calls that any cancelled request still took part in, of all loads."""
    streams = [by_system["engine"] for by_system in results.loads.values()]
    return max([results.cancel_calls, *(stream.calls_after_cancel or 0 for stream in streams)])


def _goals_everywhere(results: Results) -> Iterator[Figure]:
    overhead = results.overhead
    note = f"{overhead.engine_s:.3f} s against {overhead.pipe_s:.3f} s" if overhead else ""
    percent = overhead.percent if overhead else nan
    yield Figure("batch1_overhead_pct", percent, 3.0, note=f"{note}, median of pairs")
    yield Figure("cancel_steps", cancel_steps(results), 1.0, note="calls after the cancel")
    note = "light users beside a dump, against b0"
    yield Figure("light_p95_gain", light_p95_gain(results), 4.0, at_least=True, note=note)


def _goals_on_cpu(results: Results) -> Iterator[Figure]:
    yield _gain("mixed_vs_b0", throughput_gain(results, "b0"), 1.6, "images/s at saturation")
    yield _gain("mixed_vs_b2", throughput_gain(results, "b2"), 1.0, "images/s at saturation")


def _goals_of_sd15(results: Results) -> Iterator[Figure]:
    yield _gain("mixed_vs_b1", throughput_gain(results, "b1"), 1.4, "images/s at saturation")
    yield _gain("p95_gain_vs_b1", p95_gain(results, "b1"), 3.0, f"at load {HIGH_LOAD}")
    yield _gain("p95_gain_vs_b2", p95_gain(results, "b2"), 1.0, f"at load {HIGH_LOAD}")
    yield Figure("quick_draw_s", results.quick_draw_s, 0.5, note="20 steps, submit to pixels")


def _goals_of_sdxl(results: Results) -> Iterator[Figure]:
    yield _gain("mixed_vs_b1", throughput_gain(results, "b1"), 1.0, "images/s at saturation")


def _gain(name: str, measured: float, wanted: float, note: str) -> Figure:
    is_missing = measured != measured
    note = f"{note}; not measured: no such baseline here" if is_missing else note
    return Figure(name, measured, wanted, at_least=True, note=note)


def table(results: Results) -> str:
    """Every load, every system: a line each, with images/s as a multiple of each baseline's."""
    titles = [f"x {name}" for name in results.baselines]
    head = [
        "load",
        "system",
        "images/s",
        *titles,
        "p50 s",
        "p95 s",
        "seen s",
        "cancel s",
        "peak MB",
    ]
    lines = [head]
    for load, by_system in _loads(results):
        for name, summary in by_system.items():
            pace = [summary.images_per_s / by_system[b].images_per_s for b in results.baselines]
            lines.append([load, name, *_cells(summary, pace)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def light_table(results: Results) -> str:
    """The light users' p95 beside a dump, and how many times the engine's it is."""
    ours = results.light_p95_s["engine"]
    title = "light users' p95 beside a dump"
    return "\n".join(
        f"{title}, {name:>6}: {seconds:8.2f} s = {seconds / ours:5.2f} x engine"
        for name, seconds in results.light_p95_s.items()
    )


def _loads(results: Results) -> Iterator[tuple[str, dict[str, Summary]]]:
    yield "saturation", results.saturation
    for load, by_system in results.loads.items():
        yield f"{load:g}", by_system
    yield "dump", results.dump


def _cells(summary: Summary, pace: list[float]) -> list[str]:
    times_s = [summary.p50_s, summary.p95_s, summary.first_seen_p50_s]
    cancel = "-" if summary.cancel_p95_s is None else f"{summary.cancel_p95_s:.2f}"
    peak = "-" if summary.peak_mb is None else f"{summary.peak_mb:.0f}"
    return [
        f"{summary.images_per_s:.2f}",
        *(f"{ratio:.2f}" for ratio in pace),
        *(f"{seconds:.2f}" for seconds in times_s),
        cancel,
        peak,
    ]
