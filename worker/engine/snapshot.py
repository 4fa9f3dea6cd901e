"""What the engine says of itself, for the heartbeat."""

from dataclasses import dataclass

from worker.engine.runner import RunnerGauges


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """What the engine is doing: ids being rendered, how many wait, the model last made ready,
    rows of the last denoiser call, rows that it could have had, how many calls there were and rows
    in all of them, and the runner's own figures."""

    in_flight: tuple[str, ...]
    queued: int
    resident_model: str | None
    rows: int
    row_cap: int
    calls: int
    rows_in_all: int
    gauges: RunnerGauges
