"""How much of everything is measured: enough to say something, and over in minutes."""

from dataclasses import dataclass

from tests.bench.engine.models import ModelName


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of images for each load; `loads` are shares of the baseline's capacity."""

    clients: int = 12
    rounds: int = 2
    saturation: int = 36
    loads: tuple[float, ...] = (0.3, 0.7, 0.95, 1.3)
    arrivals: int = 12
    dumped: int = 40
    light_users: int = 8
    light_each: int = 2
    pairs: int = 25
    cancels: int = 8
    deviating: int = 6


QUICK = Plan(
    clients=4,
    rounds=1,
    saturation=8,
    loads=(0.3, 0.95),
    arrivals=4,
    dumped=8,
    light_users=4,
    light_each=1,
    pairs=3,
    cancels=2,
    deviating=3,
)
# A GPU draws SD 1.5 in well under a second.
LONG = Plan(arrivals=16, pairs=15, cancels=20)


def plan_for(model: ModelName, *, is_quick: bool) -> Plan:
    """The plan that keeps a run of `model` to some six minutes on an idle machine.

    Compiling b1 comes on top: four graphs, minutes in all until torch has them in its cache.
    """
    if is_quick:
        return QUICK
    return LONG if model == "sd15" else Plan()
