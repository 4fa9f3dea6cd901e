"""What must be true, whatever was broken: people's own book against the studio's database and its
files. Pure: facts, a book and a way to read files in, violations out.

Three moments: `judge` holds at any moment once a fault is over; `judge_end` holds when nobody asks
for anything any more and everything has had its time.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from tests.chaos.book import Book
from tests.chaos.facts import Facts, ImageRow

# What the two columns of a run's table count.
LOST = ("lost_image", "failed_image", "file", "stuck")
WRONGLY_CHARGED = ("wrongly_charged", "wrongly_charged_sum", "charged_twice", "not_charged")
LIVE = ("queued", "running")
RELEASED = ("failed", "cancelled")
STUCK = timedelta(seconds=240)  # three attempts, each a whole lease and a slow restart
Read = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and about what."""

    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of everything that was asked for."""

    asked: int = 0
    stored: int = 0
    released: int = 0


def judge(facts: Facts, book: Book, read: Read, *, seen: set[str]) -> list[Violation]:
    """Each violation at this moment. `seen` are the ids of images whose files were read before and
    were right: they are not read again, and grow."""
    found = [Violation("check_credits", one) for one in facts.violated]
    found += [Violation("server_error", one) for one in book.broken]
    for check in (_lost, _failed, _uncalled, _money, _prices, _top_ups, _codes, _sums):
        found += check(facts, book)
    return [*found, *_files(facts, read, seen)]


def judge_end(facts: Facts, book: Book, read: Read, names: Iterable[str]) -> list[Violation]:
    """Each violation once all is quiet; every file is read, and none may be left over."""
    found = judge(facts, book, read, seen=set())
    found += [
        Violation("stuck", f"image {one.id} is still {one.state}, attempt {one.attempt}")
        for one in facts.images.values()
        if one.state in LIVE
    ]
    found += [Violation("discarded", f"{one} was never deleted") for one in facts.discarded]
    return [*found, *orphans(facts, names)]


def judge_stuck(facts: Facts) -> list[Violation]:
    """Images that have waited for longer than any fault excuses."""
    assert facts.now is not None
    return [
        Violation("stuck", f"image {one.id} is {one.state} since {one.created_at}")
        for one in facts.images.values()
        if one.state in LIVE and facts.now - one.created_at > STUCK
    ]


def judge_view(facts: Facts, view: dict[str, str], *, who: str) -> list[Violation]:
    """What a page shows that the database does not say; deleted images are the page's own."""
    return [
        Violation("lost_event", f"{who}'s page says {shown} of {image_id}: {row.state} is true")
        for image_id, shown in view.items()
        if (row := facts.images.get(image_id)) and row.state not in LIVE and row.state != shown
    ]


def count(facts: Facts) -> Counts:
    """The line of a run's table."""
    states = Counter(row.state for row in facts.images.values())
    captured = {hold.image_id for hold in facts.holds.values() if hold.state == "captured"}
    stored = {row.id for row in facts.images.values() if row.state == "stored"}
    gone = set(facts.holds) - set(facts.images)
    return Counts(
        asked=len(facts.holds),
        stored=len(stored | (captured & gone)),
        released=sum(states[state] for state in RELEASED) + len(gone - captured),
    )


def _lost(facts: Facts, book: Book) -> Iterator[Violation]:
    for image_id, key in list(book.told.items()):
        if image_id not in facts.images and not _may_be_gone(image_id, key, book):
            yield Violation("lost_image", f"image {image_id} was promised and is not there")


def _failed(facts: Facts, book: Book) -> Iterator[Violation]:
    for row in facts.images.values():
        if row.state == "failed":
            why = f"{row.failure_code} after {row.attempt} attempts"
            yield Violation("failed_image", f"image {row.id} failed: {why}")
        elif row.state == "cancelled" and not _may_be_cancelled(row, book):
            yield Violation("lost_image", f"image {row.id} was cancelled, and nobody asked")


def _uncalled(facts: Facts, book: Book) -> Iterator[Violation]:
    """Images that nobody asked for, or more of them than asked for by one key."""
    by_key = Counter((row.email, row.key) for row in facts.images.values())
    for (email, key), images in by_key.items():
        order = book.orders.get(key)
        if order is None or images > order.count:
            asked = order.count if order else 0
            yield Violation("asked_twice", f"{email}, key {key}: {images} images for {asked}")


def _money(facts: Facts, book: Book) -> Iterator[Violation]:
    """Each image: charged once when it is stored, and not at all otherwise."""
    charges = Counter(one.image_id for one in facts.entries if one.kind == "capture")
    refunded = {one.image_id for one in facts.entries if one.kind == "refund"}
    erased = _erased(facts, book)
    for image_id, times in charges.items():
        if times > 1:
            yield Violation("charged_twice", f"image {image_id} was charged {times} times")
        row = facts.images.get(str(image_id))
        is_right = row.state == "stored" if row else image_id in book.deleted | erased
        if not is_right and image_id not in refunded:
            state = row.state if row else "gone"
            yield Violation("wrongly_charged", f"image {image_id} is {state}, and was charged")
    for row in facts.images.values():
        hold = facts.holds.get(row.id)
        if row.state == "stored" and charges[row.id] != 1:
            yield Violation("not_charged", f"image {row.id} is stored, and was not charged")
        if row.state in RELEASED and (hold is None or hold.state != "released"):
            held = hold.state if hold else "missing"
            yield Violation("not_released", f"image {row.id} is {row.state}, its hold {held}")


def _prices(facts: Facts, book: Book) -> Iterator[Violation]:
    """Nobody pays another price than the page showed."""
    for row in facts.images.values():
        order, hold = book.orders.get(row.key), facts.holds.get(row.id)
        if order and hold and hold.amount_ucr != order.each_ucr:
            sentence = f"image {row.id}: {order.each_ucr} was shown, {hold.amount_ucr} held"
            yield Violation("wrongly_charged", sentence)


def _sums(facts: Facts, book: Book) -> Iterator[Violation]:
    """What each account paid is what its stored images cost; what it has is what came and went."""
    paid: dict[int, int] = defaultdict(int)
    moved: dict[int, int] = defaultdict(int)
    for entry in facts.entries:
        moved[entry.account_id] += entry.amount_ucr
        if entry.kind in ("capture", "refund"):
            paid[entry.account_id] -= entry.amount_ucr
    cost: dict[int, int] = defaultdict(int)
    for hold in facts.holds.values():
        row = facts.images.get(hold.image_id)
        is_stored = row.state == "stored" if row else hold.state == "captured"
        cost[hold.account_id] += hold.amount_ucr if is_stored else 0
    for account_id, email, posted_ucr in facts.posted:
        if paid[account_id] != cost[account_id]:
            sentence = f"{email} paid {paid[account_id]}, the images cost {cost[account_id]}"
            yield Violation("wrongly_charged_sum", sentence)
        if moved[account_id] != posted_ucr:
            yield Violation("balance", f"{email} has {posted_ucr}, its lines {moved[account_id]}")


def _top_ups(facts: Facts, book: Book) -> Iterator[Violation]:
    booked = defaultdict(list)
    for entry in facts.entries:
        if entry.kind == "top_up":
            booked[entry.key.removeprefix("topup:")].append(entry.amount_ucr)
    with book.lock:
        top_ups = dict(book.top_ups)
    for key, asked in top_ups.items():
        amounts = booked.pop(key, [])
        if len(amounts) > 1 or (asked.is_told and not amounts):
            times = f"{len(amounts)} times"
            yield Violation("top_up", f"{asked.amount_ucr} for {asked.email}: booked {times}")
        if amounts and amounts[0] != asked.amount_ucr:
            yield Violation("top_up", f"{asked.amount_ucr} for {asked.email}: {amounts[0]} booked")
    for key in booked:
        yield Violation("top_up", f"nobody asked for the top-up {key}")


def _codes(facts: Facts, book: Book) -> Iterator[Violation]:
    """A code that was said to have given something gave it once."""
    used = Counter(one.email for one in facts.entries if one.kind == "code" and one.email)
    with book.lock:
        tried = Counter(email for _code, email in book.redeemed)
        told = Counter(email for (_code, email), is_told in book.redeemed.items() if is_told)
    for email in tried.keys() | used.keys():
        if not told[email] <= used[email] <= tried[email] and email not in book.closed:
            sentence = f"{email}: {used[email]} codes gave something, {told[email]} were said to"
            yield Violation("code", sentence)


def _files(facts: Facts, read: Read, seen: set[str]) -> Iterator[Violation]:
    for row in facts.images.values():
        if row.state != "stored" or row.id in seen:
            continue
        if fault := _file_fault(row, read):
            yield Violation("file", f"image {row.id} is stored: {fault}")
        else:
            seen.add(row.id)


def _file_fault(row: ImageRow, read: Read) -> str:
    content = read(row.file)
    if content is None:
        return f"its file {row.file} is gone"
    if hashlib.sha256(content).hexdigest() != row.sha256:
        return f"its file {row.file} is another one"
    missing = [name for name in (row.thumbnail, row.strip) if name and read(name) is None]
    return f"{missing[0]} is gone" if missing else ""


def orphans(facts: Facts, names: Iterable[str]) -> Iterator[Violation]:
    known = {name for row in facts.images.values() for name in (row.file, row.thumbnail, row.strip)}
    for upload in facts.uploads:
        known |= {upload, f"{upload.removesuffix('.png')}.webp"}
    known |= set(facts.discarded)
    for name in sorted(set(names) - known):
        yield Violation("orphan", f"{name} belongs to nothing")


def _may_be_gone(image_id: str, key: str, book: Book) -> bool:
    return image_id in book.deleted or book.orders[key].email in book.closed


def _erased(facts: Facts, book: Book) -> set[str]:
    """Images of accounts that are closed, or being closed."""
    closed = {
        account_id
        for account_id, email, _posted in facts.posted
        if email is None or email in book.closed
    }
    return {hold.image_id for hold in facts.holds.values() if hold.account_id in closed}


def _may_be_cancelled(row: ImageRow, book: Book) -> bool:
    return row.id in book.cancelled or row.email in book.closed
