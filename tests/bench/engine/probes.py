"""What is measured one request at a time: the price of the engine for a single image, how soon
a cancelled image stops, and how far images drawn together are from those drawn alone."""

import statistics
import threading
import time
from dataclasses import dataclass

from tests.bench.engine.loads import BenchFailedError, Ticket
from tests.bench.engine.requests import Mix
from tests.bench.engine.summary import deviation, latencies, overhead_pct
from tests.bench.engine.systems import System
from worker.engine.request import Progress, RenderedImage

NEIGHBOURS = 3
LONG_STEPS = 400
CANCELLED_AT_STEP = 3
STEP_WAIT_S = 120.0
QUICK_STEPS = 20


@dataclass(frozen=True, slots=True)
class Overhead:
    """One image at a time, `pipe()` and engine in turn; medians in seconds."""

    percent: float
    pipe_s: float
    engine_s: float


def measure_overhead(engine: System, pipe: System, mix: Mix, *, pairs: int) -> Overhead:
    """Each pair draws one request of its own words, so that no cache answers for the encoder.

    Nobody watches: `pipe()` makes no previews either.
    """
    ours: list[float] = []
    theirs: list[float] = []
    for pair in range(pairs):
        request = mix.request(f"alone-{pair}", prompt=f"a fox at dusk, number {pair}", seed=pair)
        sides = [(engine, ours), (pipe, theirs)]
        # In turn: whoever goes second may find the machine warmer, or hotter.
        for system, seconds in sides if pair % 2 else reversed(sides):
            began_s = time.perf_counter()
            system.submit(request, on_progress=None).result()
            seconds.append(time.perf_counter() - began_s)
    return Overhead(
        percent=overhead_pct(ours, theirs),
        pipe_s=statistics.median(theirs),
        engine_s=statistics.median(ours),
    )


def measure_quick_draw(
    engine: System, mix: Mix, *, repetitions: int
) -> tuple[float, dict[str, str]]:
    """Median seconds from asking for an image of 20 steps to its pixels, nobody else there; and
    the fingerprint of the last one."""
    tickets, fingerprint = [], {}
    for number in range(repetitions):
        words = f"a lighthouse, number {number}"
        request = mix.request(f"quick-{number}", steps=QUICK_STEPS, prompt=words)
        tickets.append(Ticket(engine, request))
        fingerprint = _image_of(tickets[-1]).fingerprint
    return statistics.median(latencies(tickets)), fingerprint


def measure_cancel(engine: System, mix: Mix, *, repetitions: int) -> int:
    """The most denoiser calls that any of `repetitions` requests still took part in after it was
    cancelled in the middle of its steps, others drawing beside it."""
    others = [
        Ticket(engine, mix.request(f"beside-{n}", owner=f"user-{n}", steps=LONG_STEPS, seed=n))
        for n in range(NEIGHBOURS)
    ]
    calls = [_calls_after_cancel(engine, mix, number) for number in range(repetitions)]
    for other in others:
        other.cancel()
        other.wait()
    return max(calls)


def measure_deviation(engine: System, pipe: System, mix: Mix, *, count: int) -> tuple[float, float]:
    """See `deviation`: `count` mixed requests drawn together, against each drawn alone."""
    requests = mix.draw(count, load="deviation")
    together = [Ticket(engine, request) for request in requests]
    ours = [_image_of(ticket).pixels for ticket in together]
    theirs = [_image_of(Ticket(pipe, request)).pixels for request in requests]
    return deviation(ours, theirs)


def _calls_after_cancel(engine: System, mix: Mix, number: int) -> int:
    is_under_way = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.stage == "denoising" and progress.step >= CANCELLED_AT_STEP:
            is_under_way.set()

    request = mix.request(f"cancelled-{number}", owner="leaver", steps=LONG_STEPS)
    ticket = Ticket(engine, request, watch=watch)
    if not is_under_way.wait(STEP_WAIT_S):
        raise BenchFailedError(f"{engine.name} never told of step {CANCELLED_AT_STEP}")
    ticket.cancel()
    if ticket.wait() is not None or ticket.calls_after_cancel is None:
        raise BenchFailedError(f"{engine.name} drew a picture that was cancelled")
    return ticket.calls_after_cancel


def _image_of(ticket: Ticket) -> RenderedImage:
    image = ticket.wait()
    if image is None:
        raise BenchFailedError(f"{ticket.request.request_id} was cancelled by nobody")
    return image
