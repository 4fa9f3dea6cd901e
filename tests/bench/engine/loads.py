"""The loads: so many at once, a stream of arrivals, and one person's dump beside light users."""

import heapq
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tests.bench.engine.memory import PeakMemory
from tests.bench.engine.requests import Arrival, by_owner
from tests.bench.engine.systems import OnProgress, System
from worker.engine.errors import Cancelled
from worker.engine.request import ImageRequest, Progress, RenderedImage


class BenchFailedError(RuntimeError):
    """A system could not draw what was asked of it, so its figures would mean nothing."""


class Ticket:
    """One request on its way through a system, with the times that its owner sees.

    `watch` is told of its progress too, by a thread of the system's.
    """

    def __init__(
        self, system: System, request: ImageRequest, *, watch: OnProgress | None = None
    ) -> None:
        self.request = request
        self.preview_s: float | None = None
        self.latency_s = 0.0
        self.calls_after_cancel: int | None = None
        self.cancel_latency_s: float | None = None
        self._system = system
        self._watch = watch
        self._calls_at_cancel: int | None = None
        self._cancelled_at_s: float | None = None
        self._ended = threading.Event()
        self._began_s = time.perf_counter()
        self._future = system.submit(request, on_progress=self._saw)
        self._future.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Change one's mind; too late is no error."""
        asked_at_s = time.perf_counter()
        if self._system.cancel(self.request.request_id):
            # Read after the system has agreed: a call that ends later is one too many at most.
            self._calls_at_cancel = self._system.calls_of(self.request.request_id)
            self._cancelled_at_s = asked_at_s

    def wait(self) -> RenderedImage | None:
        """The image, or None if it was cancelled; raises BenchFailedError otherwise."""
        self._ended.wait()
        try:
            return self._future.result()
        except Cancelled:
            self._count_calls_after_cancel()
            return None
        except Exception as error:
            sentence = f"{self._system.name} did not draw {self.request.request_id}: {error!r}"
            raise BenchFailedError(sentence) from error

    @property
    def is_cancelled(self) -> bool:
        """Whether it ended without an image."""
        return isinstance(self._future.exception(), Cancelled)

    def _saw(self, progress: Progress) -> None:
        if progress.preview is not None and self.preview_s is None:
            self.preview_s = time.perf_counter() - self._began_s
        if self._watch is not None:
            self._watch(progress)

    def _finish(self, _future: Future[RenderedImage]) -> None:
        self.latency_s = time.perf_counter() - self._began_s
        self._ended.set()

    def _count_calls_after_cancel(self) -> None:
        if self._cancelled_at_s is not None:
            self.cancel_latency_s = self._began_s + self.latency_s - self._cancelled_at_s
        if self._calls_at_cancel is not None:
            calls = self._system.calls_of(self.request.request_id) or 0
            self.calls_after_cancel = calls - self._calls_at_cancel


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a load: all its tickets, ended, and how long it took altogether."""

    tickets: list[Ticket]
    wall_s: float
    peak_mb: float | None

    @property
    def drawn(self) -> list[Ticket]:
        """Those that ended in an image."""
        return [ticket for ticket in self.tickets if not ticket.is_cancelled]

    @property
    def images_per_s(self) -> float:
        """Images by the second."""
        return len(self.drawn) / self.wall_s


def closed_loop(
    system: System, requests: Sequence[ImageRequest], *, clients: int, device: str
) -> Run:
    """`clients` at a time, each asking anew as soon as it has its image, until all are drawn."""
    left, lock = iter(requests), threading.Lock()

    def ask() -> list[Ticket]:
        tickets = []
        while (request := _next_of(left, lock)) is not None:
            tickets.append(Ticket(system, request))
            tickets[-1].wait()
        return tickets

    peak, began_s = PeakMemory(device), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask) for _client in range(clients)]
        tickets = [ticket for future in asking for ticket in future.result()]
    return Run(tickets, time.perf_counter() - began_s, peak.mb())


def open_loop(system: System, arrivals: Sequence[Arrival], *, device: str) -> Run:
    """Requests come, and are cancelled, when they do, however many are still waiting."""
    peak, began_s = PeakMemory(device), time.perf_counter()
    # (seconds, number of the arrival, whether it is cancelled); numbers also break ties
    events = [(arrival.at_s, number, False) for number, arrival in enumerate(arrivals)]
    heapq.heapify(events)
    tickets: dict[int, Ticket] = {}
    while events:
        at_s, number, is_cancel = heapq.heappop(events)
        time.sleep(max(0.0, began_s + at_s - time.perf_counter()))
        if is_cancel:
            tickets[number].cancel()
            continue
        tickets[number] = Ticket(system, arrivals[number].request)
        patience_s = arrivals[number].cancel_after_s
        if patience_s is not None:
            heapq.heappush(events, (at_s + patience_s, number, True))
    for ticket in tickets.values():
        ticket.wait()
    return Run(list(tickets.values()), time.perf_counter() - began_s, peak.mb())


def dump(
    system: System, dumped: Sequence[ImageRequest], light: Sequence[ImageRequest], *, device: str
) -> Run:
    """One person asks for all of `dumped` at once; the owners of `light` then ask for one image
    after the other."""
    peak, began_s = PeakMemory(device), time.perf_counter()
    tickets = [Ticket(system, request) for request in dumped]

    def ask(requests: list[ImageRequest]) -> list[Ticket]:
        mine = []
        for request in requests:
            mine.append(Ticket(system, request))
            mine[-1].wait()
        return mine

    owners = by_owner(light)
    with ThreadPoolExecutor(len(owners)) as pool:
        for mine in list(pool.map(ask, owners.values())):
            tickets.extend(mine)
    for ticket in tickets:
        ticket.wait()
    return Run(tickets, time.perf_counter() - began_s, peak.mb())


def _next_of(left: Iterator[ImageRequest], lock: threading.Lock) -> ImageRequest | None:
    with lock:
        return next(left, None)
