"""The check of the ledger and of the queue: `invariants` are asked one by one, files are read one
by one, and what was found is kept as the studio's health.

posted = sum of entries = balance after the last one        held = sum of open holds
every transaction sums to 0, and so do all        every charge has its hold, at the quoted price
image stored <=> exactly one capture <=> its file is there with the stored hash (one whose file was
lost is failed, captured and refunded)      files that no row names are counted; beat deletes them
open hold <=> queued or running image      shares count what is queued
an undo is minus what it undoes, a refund is what was charged, once      batches, codes: as posted
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import ngettext

from webapp.core.connections import let_go_of_database
from webapp.core.notices import tell_admins, withdraw
from webapp.core.units import format_credits
from webapp.generation import orphans
from webapp.generation.models import Image
from webapp.generation.storage import has_file, open_file
from webapp.operations.invariants import INVARIANTS
from webapp.operations.models import BooksCheck

HASH_CHUNK_BYTES = 1 << 20
ROWS_AT_ONCE = 500
SENTENCES_KEPT = 20
CHECKS_KEPT = 400
# The check is nightly: one that is older than this says that it no longer runs.
FRESH = timedelta(days=2)
NOTICE = "books:violated"


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold: which, about what, and the sentence that says so."""

    code: str
    sentence: str
    facts: tuple[Any, ...] = ()


def find_violations(*, files: bool = True) -> Iterator[Violation]:
    """Each violated invariant; with `files` every stored image is read too."""
    for code in INVARIANTS:
        yield from find_violations_of(code=code)
    if files:
        yield from _find_file_violations()


def find_violations_of(*, code: str) -> Iterator[Violation]:
    """Each violation of one invariant; the first of its facts is the id of what it is about."""
    sentence, query = INVARIANTS[code]
    with connection.cursor() as cursor:
        cursor.execute(query)
        for row in cursor:
            yield Violation(code, sentence.format(*row), tuple(row))


def check_books(*, files: bool) -> BooksCheck:
    """The check that ran now, kept; admins are told what it found, or that it is mended."""
    started = time.monotonic()
    violations = list(find_violations(files=files))
    unnamed = count_orphans(violations) if files else 0
    return keep_check(violations, took_s=time.monotonic() - started, orphans=unnamed)


def count_orphans(violations: list[Violation]) -> int:
    """How many files no row names; no violation, as beat deletes them. That nobody could look is
    one, and is added."""
    try:
        return sum(1 for _name in orphans.find_orphans())
    except OSError as error:
        violations.append(Violation("unread", f"the storage's folders were not read: {error}"))
        return 0


def keep_check(violations: Sequence[Violation], *, took_s: float, orphans: int = 0) -> BooksCheck:
    """The check, written as the studio's health; the notice to admins stands while it is bad."""
    first = [one.sentence for one in violations[:SENTENCES_KEPT]]
    check = BooksCheck.objects.create(
        violations=len(violations),
        first_sentences=first,
        summary=summarise(orphans=orphans),
        took_s=took_s,
    )
    kept = BooksCheck.objects.order_by("-pk").values("pk")[:CHECKS_KEPT]
    BooksCheck.objects.exclude(pk__in=kept).delete()
    if violations:
        sentence = ngettext(
            "The ledger check found %(count)d fault.",
            "The ledger check found %(count)d faults.",
            len(violations),
        )
        told = sentence % {"count": len(violations)}
        tell_admins(code=NOTICE, sentence=told, detail="\n".join(first))
    else:
        withdraw(code=NOTICE)
    return check


def get_books_state() -> str:
    """ "clean" or "violated", as the newest check said; "unchecked" without one of two days."""
    newest = BooksCheck.objects.filter(at__gt=timezone.now() - FRESH).first()
    if newest is None:
        return "unchecked"
    return "violated" if newest.violations else "clean"


def summarise(*, orphans: int = 0) -> str:
    """How much the ledger holds, in one line, and how many files no row names, if any."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM credits_transaction")
        (transactions,) = cursor.fetchone()
        cursor.execute(
            "SELECT COUNT(*), COALESCE(SUM(posted_ucr), 0)::bigint,"
            " COALESCE(SUM(held_ucr), 0)::bigint FROM credits_account WHERE kind = 'user'"
        )
        accounts, posted_ucr, held_ucr = cursor.fetchone()
    unnamed = f", {orphans} files that no row names" if orphans else ""
    return (
        f"{accounts} accounts, {transactions} transactions,"
        f" {format_credits(posted_ucr)} credits posted, {format_credits(held_ucr)} held{unnamed}"
    )


def _find_file_violations() -> Iterator[Violation]:
    for image in stored_images():
        try:
            fault = _find_fault(image)
        except OSError as error:
            # Whoever could not look says so: nothing is clean by not being read.
            yield Violation("unread", f"the images were not read from image {image.pk} on: {error}")
            return
        # Somebody may have deleted the image since the row was read.
        if fault and Image.objects.filter(pk=image.pk, file=image.file).exists():
            yield Violation("file", f"image {image.pk}: {fault}", (image.pk,))


def stored_images() -> Iterator[Image]:
    """Every stored image, in pages, so that no connection is held while their files are read."""
    stored = Image.objects.filter(state=Image.State.STORED).order_by("pk")
    page = list(stored[:ROWS_AT_ONCE])
    while page:
        let_go_of_database()
        yield from page
        page = list(stored.filter(pk__gt=page[-1].pk)[:ROWS_AT_ONCE])


def _find_fault(image: Image) -> str:
    """What is wrong with the image's files; "" if nothing is."""
    try:
        is_changed = _sha256(image.file) != image.sha256
    except FileNotFoundError:
        return f"its file {image.file} is gone"
    if is_changed:
        return f"its file {image.file} was changed"
    return "" if has_file(image.thumbnail) else f"its file {image.thumbnail} is gone"


def _sha256(name: str) -> str:
    digest = hashlib.sha256()
    with open_file(name) as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
