"""What is wanted, what the tables say, and the plot."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from tests.bench.engine.goals import figures_of, light_table, names_of, table
from tests.bench.engine.measure import Results
from tests.bench.engine.plot import Plot
from tests.bench.engine.probes import Overhead
from tests.bench.engine.run import body_of, options_from
from tests.bench.engine.summary import Summary

NAMES = (
    "device",
    "model",
    "batch1_overhead_pct",
    "mixed_vs_b0",
    "mixed_vs_b2",
    "cancel_steps",
    "light_p95_gain",
)
SLOW = Summary(
    images=10,
    images_per_s=1.0,
    p50_s=4.0,
    p95_s=8.0,
    first_seen_p50_s=4.0,
    cancelled=1,
    calls_after_cancel=None,
    cancel_p95_s=0.0,
    peak_mb=None,
)
FAST = replace(SLOW, images_per_s=2.0, p50_s=1.0, p95_s=2.0, calls_after_cancel=1)


def results(*, light_s: dict[str, float] | None = None) -> Results:
    return Results(
        saturation={"b0": SLOW, "b2": SLOW, "engine": FAST},
        loads={
            0.3: {"b0": FAST, "b2": FAST, "engine": FAST},
            0.95: {"b0": SLOW, "b2": SLOW, "engine": FAST},
        },
        dump={"b0": SLOW, "b2": SLOW, "engine": FAST},
        light_p95_s=light_s or {"b0": 50.0, "b2": 20.0, "engine": 4.0},
        overhead=Overhead(percent=2.0, pipe_s=1.0, engine_s=1.02),
    )


def unmet(measured: Results, **options: str) -> set[str]:
    given = {"device": "cpu", "model": "tiny", **options}
    figures = figures_of(measured, **given)  # type: ignore[arg-type]
    return {figure.name for figure in figures if not figure.met}


def test_an_engine_that_is_good_enough_meets_every_goal_on_a_cpu() -> None:
    assert unmet(results()) == set()


def test_the_light_users_gain_is_over_one_picture_at_a_time() -> None:
    assert unmet(results(light_s={"b0": 15.0, "b2": 50.0, "engine": 4.0})) == {"light_p95_gain"}


def test_a_request_that_goes_on_after_its_cancel_in_any_load_misses_the_goal() -> None:
    measured = results()
    measured.loads[0.3]["engine"] = replace(FAST, calls_after_cancel=2)

    assert unmet(measured) == {"cancel_steps"}


def test_a_goal_over_a_baseline_that_did_not_run_is_not_met() -> None:
    assert unmet(results(), device="cuda", model="sdxl") == {"mixed_vs_b1"}
    assert names_of(results())["mixed_vs_b1"] is None


def test_sd15_on_a_gpu_has_goals_of_its_own() -> None:
    measured = results()
    measured.saturation["b1"] = replace(SLOW, images_per_s=1.6)
    measured.light_p95_s["b1"] = 16.0
    measured.loads[0.95]["b1"] = SLOW
    measured.quick_draw_s = 0.6

    missed = unmet(measured, device="cuda", model="sd15")
    assert missed == {"mixed_vs_b1", "quick_draw_s"}


def test_the_results_file_has_its_names() -> None:
    body = body_of(results(), [], options_from([]))

    assert set(NAMES) <= set(body)
    assert (body["device"], body["model"]) == ("cpu", "tiny")
    assert body["mixed_vs_b0"] == 2.0
    assert body["light_p95_gain"] == 12.5
    assert body["versions"]["torch"]


def test_model_threads_and_compiling_follow_from_the_device() -> None:
    cpu, cuda = options_from([]), options_from(["--device", "cuda"])

    assert (cpu.model, cpu.threads, cpu.compile) == ("tiny", 1, "none")
    assert (cuda.model, cuda.threads) == ("sd15", None)


def test_the_table_has_a_line_for_every_load_and_system() -> None:
    lines = table(results()).splitlines()

    assert len(lines) == 1 + 3 + 3 + 3 + 3
    assert lines[3].split()[:5] == ["saturation", "engine", "2.00", "2.00", "2.00"]
    assert len({len(line) for line in lines}) == 1
    assert "12.50 x engine" in light_table(results())


def test_the_plot_is_well_formed_and_higher_is_slower() -> None:
    loads = {0.3: {"b0": FAST, "engine": FAST}, 0.95: {"b0": SLOW, "engine": FAST}}
    plot = Plot(loads)
    drawing = ElementTree.fromstring(plot.svg("b0 < engine"))  # noqa: S314

    assert plot.y(8.0) < plot.y(2.0)
    assert plot.x(0.3) < plot.x(0.95)
    assert drawing.findtext("{http://www.w3.org/2000/svg}title") == "b0 < engine"
    assert len(drawing.findall("{http://www.w3.org/2000/svg}circle")) == 8
