"""How news reach those who look: `make bench ONLY=streams`.

A studio of its own, with one web process as `make up` runs it. Five hundred people have their
event streams open at once; then one person's studio is watched in a real browser.
"""

import asyncio
import json
import statistics
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.painting import measure_previews
from tests.bench.readers import open_readers
from tests.trial import Trial, TrialFailedError
from webapp.core.files import allow_open_files

CLIENTS = 500
Times = dict[str, float]  # image id -> moment
OPEN_S = 60.0
ARRIVED_S = 2.0
FANOUT_P95_MS = 100.0
FIELDS = {
    "quoted_each_ucr": "200000",
    "prompt": "a fox at dusk, storybook illustration",
    "width": "128",
    "height": "128",
    "steps": "100",
    "guidance_scale": "5",
    "sampler": "ddim",
    "model": "tiny",
}


def measure_streams(bench: Bench) -> Iterator[Figure]:
    """Each figure, from a studio whose own worker serves nothing; raises TrialFailedError."""
    # One machine stands for five hundred, which would have addresses of their own.
    settings = {"DARKROOM_SERVE": "none", "DARKROOM_CONNECTIONS_PER_ADDRESS": "0"}
    with bench.running("streams", settings) as (trial, _model):
        yield from measure_fanout(trial)
        yield measure_previews(trial, FIELDS)


def measure_fanout(trial: Trial) -> Iterator[Figure]:
    """How many pages are served at once, and how long news take to them."""
    allow_open_files()
    sessions = json.loads(trial.run("-m", "tests.bench.crowd", "enter", str(CLIENTS)))
    sent, arrived = asyncio.run(listen(trial, sessions))
    if len(arrived) < CLIENTS:
        raise TrialFailedError(f"{len(arrived)} of {CLIENTS} streams were open at the end")
    moments = {image_id: at for one in arrived for image_id, at in one.items()}
    lost = [image_id for kind in sent.values() for image_id in kind if image_id not in moments]
    if lost:
        raise TrialFailedError(f"{len(lost)} news were lost, {len(moments)} arrived")
    note = f"one web process; {len(moments)} news arrived, none was lost"
    yield Figure("sse_clients", sum(map(bool, arrived)), CLIENTS, at_least=True, note=note)
    p95_ms = {
        kind: statistics.quantiles([1000 * (moments[one] - at) for one, at in times.items()], n=20)
        for kind, times in sent.items()
    }
    yield Figure(
        "sse_fanout_p95_ms",
        max(parts[-1] for parts in p95_ms.values()),
        FANOUT_P95_MS,
        note=f"{len(arrived)} clients; " + describe(sent, p95_ms),
    )


def describe(sent: dict[str, Times], p95_ms: dict[str, list[float]]) -> str:
    """How both ways of telling went."""
    return "; ".join(
        f"{kind.replace('_', ' ')}: p95 {p95_ms[kind][-1]:.0f}, median {p95_ms[kind][9]:.0f}"
        f" of {len(times)}"
        for kind, times in sent.items()
    )


async def listen(trial: Trial, sessions: list[str]) -> tuple[dict[str, Times], list[Times]]:
    """(when what was sent, by kind; when what arrived, by stream that stayed open)."""
    readers = await open_readers(trial.port, sessions, timeout_s=OPEN_S)
    told = await asyncio.to_thread(trial.run, "-m", "tests.bench.crowd", "tell")
    await asyncio.sleep(ARRIVED_S)
    arrived = [reader.arrivals() for reader in readers if reader.is_open]
    for reader in readers:
        reader.close()
    return json.loads(told), arrived
