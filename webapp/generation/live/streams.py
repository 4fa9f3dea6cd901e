"""One Valkey subscription per web process, fanned out to every open event stream.

A stream is a bounded queue of ready-made SSE frames. A reader too slow for its queue is told to
reload its state (`event: resync`) instead of making the others wait. Streams end after a while;
the browser reconnects by itself, and is then asked again who it is.

Places in the queue are told whenever it moved: one look serves everybody who has a page open here.
It is taken once a second at most, and less often if it takes long itself; without news now and
then, because seconds pass.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError

from webapp.generation.events import QUEUE_CHANNEL, channel
from webapp.generation.queueing.places import QueueView, count_waiting, look_at_queue

logger = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
LIFETIME_S = 300.0
QUEUE_FRAMES = 64
RECONNECT_S = 1.0
ANSWER_S = 5.0
QUIET_S = 10.0
LOOK_EVERY_S = 1.0
PATIENCE_S = 5.0
REST = 9  # times as long as the look took: a tenth of one connection's time at most
CHANNELS = channel(0).removesuffix("0")


def frame(event: str, data: str) -> bytes:
    """One SSE message; `data` must be a single line."""
    return f"event: {event}\ndata: {data}\n\n".encode()


# The page reads its whole state again. That heals every loss, so no event is kept or numbered.
RESYNC = frame("resync", "{}")


@dataclass(eq=False)
class Stream:
    """One open connection of one user."""

    user_id: int
    frames: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_FRAMES))
    told: str = ""

    def offer(self, message: bytes) -> None:
        """Queues a frame; a full queue is emptied and the page reloads its state instead."""
        # Never waits: one tab that sleeps must neither hold up the others nor fill the memory.
        try:
            self.frames.put_nowait(message)
        except asyncio.QueueFull:
            while not self.frames.empty():
                self.frames.get_nowait()
            self.frames.put_nowait(RESYNC)

    def tell_places(self, facts: str) -> None:
        """Queues the frame of the places if they are others than this page was told before."""
        if facts != self.told:
            self.told = facts
            self.offer(frame("places", facts))


class Page(Protocol):
    """An open page."""

    def tell_places(self, facts: str) -> None:
        """Sends the facts if they are others than before."""
        ...


class Teller:
    """Looks at the queue for the pages of `streams`, by user id."""

    def __init__(self, streams: Mapping[int, Sequence[Page]]) -> None:
        self.streams = streams
        self.moved = asyncio.Event()

    async def tell_for_ever(self) -> None:
        """Runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.moved.wait(), PATIENCE_S)
            self.moved.clear()
            began = loop.time()
            await self._tell()
            await asyncio.sleep(max(LOOK_EVERY_S, REST * (loop.time() - began)))

    async def _tell(self) -> None:
        try:
            look = sync_to_async(_look, thread_sensitive=False)
            view, waiting = await look(list(self.streams))
        except (OperationalError, InterfaceError) as error:
            logger.warning("the queue could not be looked at: %s", error)
            return
        for user_id, pages in list(self.streams.items()):
            told = view.facts_of(user_id, waiting=waiting.get(user_id, 0))
            facts = json.dumps({"type": "places", **told})
            for page in pages:
                page.tell_places(facts)


def _look(user_ids: Sequence[int]) -> tuple[QueueView, dict[int, int]]:
    """In a thread of its own, whose connection goes back at once."""
    try:
        waiting = count_waiting(owner_ids=user_ids)
        return look_at_queue(owner_ids=waiting), waiting
    finally:
        connection.close()


class Hub:
    """The streams of one event loop, and the tasks that listen and look for them."""

    def __init__(self) -> None:
        self.streams: dict[int, list[Stream]] = {}
        self.teller = Teller(self.streams)
        self.tasks: list[asyncio.Task[None]] = []

    def open(self, user_id: int) -> Stream:
        """A new stream; the oldest of a user with too many is closed by a last frame."""
        stream = Stream(user_id)
        mine = self.streams.setdefault(user_id, [])
        mine.append(stream)
        # Closed by a frame, not by us: a connection that ends otherwise is opened again at once.
        while len(mine) > settings.STREAMS_PER_USER:
            mine.pop(0).offer(frame("replaced", "{}"))
        # A task that ended by an error nobody expected would leave all pages without news.
        if not self.tasks or any(task.done() for task in self.tasks):
            self._start_anew()
        return stream

    def close(self, stream: Stream) -> None:
        """Forgets a stream; with the last one the tasks end too."""
        mine = self.streams.get(stream.user_id, [])
        if stream in mine:
            mine.remove(stream)
        if not mine:
            self.streams.pop(stream.user_id, None)
        if not self.streams:
            self._stop()

    def _start_anew(self) -> None:
        self._stop()
        works = (self.listen(), self.teller.tell_for_ever())
        self.tasks = [asyncio.create_task(work) for work in works]

    def _stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.tasks = []

    async def listen(self) -> None:
        """Listens until cancelled; after a lost connection every page reloads its state."""
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                logger.warning("the event streams lost Valkey: %s", error)
                await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
        )
        try:
            async with client.pubsub() as subscription:
                # One pattern for all users: pages come and go without a word to Valkey.
                await subscription.psubscribe(f"{CHANNELS}*", QUEUE_CHANNEL)
                # Subscribed first, then told: what was published in between is not missed.
                self._offer_all(RESYNC)
                await self._hear(subscription)
        finally:
            await client.aclose()

    async def _hear(self, subscription: redis.asyncio.client.PubSub) -> None:
        """Hands on what comes. Where nothing comes for long Valkey is asked whether it is there;
        raises redis.TimeoutError if it does not say so."""
        is_asked = False
        while True:
            message = await subscription.get_message(timeout=QUIET_S)
            if message is None and is_asked:
                raise redis.TimeoutError("nothing, for long")
            is_asked = message is None
            if message is None:
                await subscription.ping()
            elif message["type"] == "pmessage":
                self._dispatch(message["channel"], message["data"])

    def _dispatch(self, name: str, data: str) -> None:
        if name == QUEUE_CHANNEL:
            self.teller.moved.set()
            return
        user_id = int(name.removeprefix(CHANNELS))
        for stream in self.streams.get(user_id, []):
            stream.offer(frame(str(json.loads(data)["type"]), data))

    def _offer_all(self, message: bytes) -> None:
        for streams in self.streams.values():
            for stream in streams:
                stream.offer(message)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


async def stream_events(user_id: int) -> AsyncIterator[bytes]:
    """The SSE frames of one user: `image`, `progress`, `balance`, `places`, and `resync` at the
    start."""
    home = hub()
    stream = home.open(user_id)
    end = asyncio.get_running_loop().time() + LIFETIME_S
    try:
        yield b"retry: 2000\n\n"  # milliseconds until the browser opens the next one
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                message = await asyncio.wait_for(
                    stream.frames.get(), timeout=min(HEARTBEAT_S, left)
                )
            except TimeoutError:
                message = b": keep-alive\n\n"  # proxies close what is silent for long
            yield message
            if message.startswith(b"event: replaced"):
                return
    finally:
        home.close(stream)
