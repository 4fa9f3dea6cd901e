"""What people asked for and were told, kept apart from the studio: the oracle compares the two.

What somebody means to do is written down before it is tried: the answer may be lost.
"""

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Order:
    """A request for images, by its key: who, how many, and the price that the page showed."""

    email: str
    count: int
    each_ucr: int
    at_s: float


@dataclass(slots=True)
class TopUp:
    """Credits that an administrator posts by a key."""

    email: str
    amount_ucr: int
    is_told: bool = False


@dataclass(slots=True)
class Book:
    """Everything that was asked for. The lists only grow; `lock` guards those that are read
    while people live."""

    orders: dict[str, Order] = field(default_factory=dict)  # idempotency key -> order
    told: dict[str, str] = field(default_factory=dict)  # image id -> key, once answered
    cancelled: set[str] = field(default_factory=set)  # image ids, meant to be
    deleted: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)  # addresses of accounts meant to be deleted
    top_ups: dict[str, TopUp] = field(default_factory=dict)
    redeemed: dict[tuple[str, str], bool] = field(default_factory=dict)  # (code, email) -> told
    broken: list[str] = field(default_factory=list)  # answers that no fault excuses
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, key: str, order: Order) -> None:
        """Somebody is about to ask."""
        with self.lock:
            self.orders[key] = order

    def tell(self, key: str, image_ids: list[str]) -> None:
        """They were told that these images are queued."""
        with self.lock:
            self.told.update(dict.fromkeys(image_ids, key))

    def complain(self, sentence: str) -> None:
        """An answer that is wrong whatever happens: a page of error 500."""
        with self.lock:
            self.broken.append(sentence)
