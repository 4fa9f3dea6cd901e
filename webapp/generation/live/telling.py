"""Tells the open pages of one web process their places, whenever the queue moved.

One look serves everybody who has a page open here. It is taken once a second at most, and less
often where it takes long itself; without news now and then, because seconds pass.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

from webapp.generation.models import QueueShare
from webapp.generation.queueing.places import QueueView, look_at_queue

logger = logging.getLogger(__name__)

EVERY_S = 1.0
PATIENCE_S = 5.0
REST = 9  # times as long as the look took: a tenth of one connection's time at most


class Page(Protocol):
    """An open page."""

    def tell_places(self, facts: str) -> None:
        """Sends the facts where they are others than before."""
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
            await asyncio.sleep(max(EVERY_S, REST * (loop.time() - began)))

    async def _tell(self) -> None:
        try:
            view = await sync_to_async(_look, thread_sensitive=False)(list(self.streams))
        except (OperationalError, InterfaceError) as error:
            logger.warning("the queue could not be looked at: %s", error)
            return
        for user_id, pages in list(self.streams.items()):
            facts = json.dumps({"type": "places", **view.facts_of(user_id)})
            for page in pages:
                page.tell_places(facts)


def _look(user_ids: Sequence[int]) -> QueueView:
    """In a thread of its own, whose connection goes back at once."""
    try:
        waiting = QueueShare.objects.filter(owner_id__in=user_ids, queued__gt=0)
        return look_at_queue(owner_ids=set(waiting.values_list("owner_id", flat=True)))
    finally:
        connection.close()
