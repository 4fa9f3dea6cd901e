"""The whole measurement: every load on every system, in turn, so that all of them meet the same
machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.engine.loads import Run, closed_loop, dump, open_loop
from tests.bench.engine.plan import Plan
from tests.bench.engine.probes import (
    Overhead,
    measure_cancel,
    measure_deviation,
    measure_overhead,
    measure_quick_draw,
)
from tests.bench.engine.requests import Mix, is_dumped
from tests.bench.engine.summary import Summary, latencies, percentile, summarise
from tests.bench.engine.systems import System
from worker.engine.request import ImageRequest

WARM_UPS_AT_MOST = 8
Tell = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """All that was measured. Systems go by name; "b0" and "engine" are always among them."""

    saturation: dict[str, Summary] = field(default_factory=dict)
    # share of the reference's capacity -> system -> what came of it
    loads: dict[float, dict[str, Summary]] = field(default_factory=dict)
    dump: dict[str, Summary] = field(default_factory=dict)
    light_p95_s: dict[str, float] = field(default_factory=dict)
    overhead: Overhead | None = None
    quick_draw_s: float = 0.0
    # what the engine says that it drew the last of those with
    fingerprint: dict[str, str] = field(default_factory=dict)
    cancel_calls: int = 0
    deviation_max: float = 0.0
    deviation_share: float = 0.0

    @property
    def reference(self) -> str:
        """Whose capacity the loads are shares of: plain diffusers as fast as it goes here."""
        return "b1" if "b1" in self.saturation else "b0"

    @property
    def baselines(self) -> list[str]:
        """Every system but the engine."""
        return [name for name in self.saturation if name != "engine"]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measurement is made with; `systems` by name."""

    systems: dict[str, System]
    mix: Mix
    plan: Plan
    device: str
    tell: Tell

    def measure(self) -> Results:
        """Everything, in minutes; raises BenchFailedError if a system fails a request."""
        results = Results()
        self._warm_up()
        self._measure_alone(results)
        self.tell("saturation")
        results.saturation = self._in_turn(self._saturate, rounds=self.plan.rounds)
        capacity_per_s = results.saturation[results.reference].images_per_s
        for load in self.plan.loads:
            self.tell(f"load {load}")
            results.loads[load] = self._in_turn(self._stream(load, capacity_per_s))
        self._measure_dump(results)
        return results

    def _warm_up(self) -> None:
        self.tell("warm-up")
        requests = self.mix.warm_up()
        for system in self.systems.values():
            self._warm(system, requests, clients=self.plan.clients)
            # The first two are without and with guidance: what one request alone leads to.
            self._warm(system, requests[:2], clients=1)

    def _warm(self, system: System, requests: Sequence[ImageRequest], *, clients: int) -> None:
        """Draw `requests` until nothing new is captured or compiled for them."""
        for _time in range(WARM_UPS_AT_MOST):
            closed_loop(system, requests, clients=clients, device=self.device)
            if not system.is_warming:
                return
            while system.is_warming:
                time.sleep(0.1)

    def _measure_alone(self, results: Results) -> None:
        engine, pipe, plan = self.systems["engine"], self.systems["b0"], self.plan
        self.tell("one picture at a time")
        results.overhead = measure_overhead(engine, pipe, self.mix, pairs=plan.pairs)
        results.quick_draw_s, results.fingerprint = measure_quick_draw(
            engine, self.mix, repetitions=plan.pairs
        )
        self.tell("cancelling, and pictures drawn together against pictures drawn alone")
        results.cancel_calls = measure_cancel(engine, self.mix, repetitions=plan.cancels)
        results.deviation_max, results.deviation_share = measure_deviation(
            engine, pipe, self.mix, count=plan.deviating
        )

    def _measure_dump(self, results: Results) -> None:
        self.tell(f"a dump of {self.plan.dumped}")
        runs = dict(self._round(self._dump, 0))
        results.dump = {name: summarise([run]) for name, run in runs.items()}
        for name, run in runs.items():
            light = [ticket for ticket in run.drawn if not is_dumped(ticket.request)]
            results.light_p95_s[name] = percentile(latencies(light), 95)

    def _in_turn(
        self, load: Callable[[System, int], Run], *, rounds: int = 1
    ) -> dict[str, Summary]:
        runs: dict[str, list[Run]] = {name: [] for name in self.systems}
        for number in range(rounds):
            for name, run in self._round(load, number):
                runs[name].append(run)
        return {name: summarise(of_one) for name, of_one in runs.items()}

    def _round(self, load: Callable[[System, int], Run], number: int) -> Iterator[tuple[str, Run]]:
        """The load once on every system, another one first each round."""
        names: Sequence[str] = list(self.systems)
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            yield name, load(self.systems[name], number)

    def _saturate(self, system: System, number: int) -> Run:
        requests = self.mix.draw(self.plan.saturation, load=f"saturation-{number}")
        return closed_loop(system, requests, clients=self.plan.clients, device=self.device)

    def _stream(self, share: float, capacity_per_s: float) -> Callable[[System, int], Run]:
        def stream(system: System, number: int) -> Run:
            arrivals = self.mix.arrivals(
                self.plan.arrivals,
                load=f"stream-{share:g}-{number}",
                per_s=share * capacity_per_s,
                # Twice what the reference takes for an image: some wait, some are under way.
                cancel_within_s=2 / capacity_per_s,
            )
            return open_loop(system, arrivals, device=self.device)

        return stream

    def _dump(self, system: System, number: int) -> Run:
        load = f"dump-{number}"
        count = self.plan.light_users * self.plan.light_each
        light = self.mix.draw(count, load=f"{load}-light", owners=self.plan.light_users)
        dumped = self.mix.dump(self.plan.dumped, load=load)
        return dump(system, dumped, light, device=self.device)
