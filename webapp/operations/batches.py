"""Many people topped up at once: chosen or read from a file, looked at, then posted as one batch.

What is looked at is kept in Valkey under an id that becomes the batch's: it can be neither forged
nor changed by the page, and posting it twice posts it once. After an hour it is gone.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import User, UserGroup
from webapp.core import audit
from webapp.core.errors import InvalidInput, NotFound
from webapp.core.models import AuditLine
from webapp.core.units import format_credits
from webapp.credits import ledger
from webapp.credits.ledger.bulk import only_available
from webapp.credits.ledger.by_hand import check_words
from webapp.credits.models import TopUpBatch
from webapp.generation.models import Generation
from webapp.operations.batch_file import MAX_LINES, FileLine
from webapp.postgres.limits import LONG_S, answers_within

KEPT_S = 3600
BOOKED = "credits.batch"


@dataclass(frozen=True, slots=True)
class Line:
    """One person of a draft: what they would get, and what stands against it ("" for nothing)."""

    number: int
    email: str
    amount_ucr: int
    user_id: int | None = None
    before_ucr: int = 0
    reason: str = ""
    problem: str = ""

    @property
    def after_ucr(self) -> int:
        """What the user could spend after this line, in micro-credits."""
        return self.before_ucr + self.amount_ucr


@dataclass(frozen=True, slots=True)
class Draft:
    """A batch that was not posted yet."""

    id: uuid.UUID
    reason: str
    note: str
    lines: Sequence[Line]

    @property
    def wrong(self) -> list[Line]:
        """The lines that can't be posted."""
        return [line for line in self.lines if line.problem]

    @property
    def total_ucr(self) -> int:
        """All that is given and taken together."""
        return sum(line.amount_ucr for line in self.lines)


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is meant: each part that is given narrows it down."""

    group: UserGroup | None = None
    below_ucr: int | None = None
    joined_since: date | None = None
    active_days: int | None = None


def choose_people(choice: Choice) -> QuerySet[User]:
    """The people who can sign in and whom all parts of the choice fit."""
    people = User.objects.filter(is_active=True)
    if choice.group is not None:
        people = people.filter(group=choice.group)
    if choice.below_ucr is not None:
        people = people.filter(account__posted_ucr__lt=F("account__held_ucr") + choice.below_ucr)
    if choice.joined_since is not None:
        people = people.filter(date_joined__date__gte=choice.joined_since)
    if choice.active_days is not None:
        since = timezone.now() - timedelta(days=choice.active_days)
        made = Generation.objects.filter(owner=OuterRef("pk"), created_at__gte=since)
        people = people.filter(Exists(made))
    return people


def keep_people(*, actor: User, ids: Iterable[int]) -> uuid.UUID:
    """Remembers people who were ticked in the list of users, for the form that comes next.

    Raises InvalidInput for nobody, or more than one batch may hold.
    """
    chosen = list(ids)
    _check_count(len(chosen))
    choice_id = uuid.uuid4()
    cache.set(_key("people", actor, choice_id), chosen, KEPT_S)
    return choice_id


def get_people(*, actor: User, choice_id: uuid.UUID) -> QuerySet[User]:
    """The people that `keep_people` remembered. Raises NotFound after an hour, or to others."""
    chosen: list[int] | None = cache.get(_key("people", actor, choice_id))
    if chosen is None:
        raise NotFound(_("This selection of users has expired. Select them again."))
    return User.objects.filter(pk__in=chosen)


def draft_for_people(
    *, actor: User, people: QuerySet[User], amount_ucr: int, reason: str, note: str = ""
) -> Draft:
    """The same amount for each of the people, kept for an hour.

    Raises InvalidInput for nobody or too many, and for a reason or note that is not allowed.
    """
    check_words(reason=reason, note=note)
    rows = people.order_by("email").values_list("email", flat=True)[: MAX_LINES + 1]
    lines = [FileLine(number, email, amount_ucr) for number, email in enumerate(rows, start=1)]
    return draft_for_lines(actor=actor, lines=lines, reason=reason, note=note)


def draft_for_lines(
    *, actor: User, lines: Sequence[FileLine], reason: str, note: str = ""
) -> Draft:
    """The lines of a file with what is known of each person, kept for an hour.

    Raises InvalidInput for no or too many lines, and for a reason or note that is not allowed.
    """
    check_words(reason=reason, note=note)
    _check_count(len(lines))
    draft = Draft(uuid.uuid4(), reason.strip(), note.strip(), _look_up(lines))
    cache.set(_key("draft", actor, draft.id), draft, KEPT_S)
    return draft


def get_draft(*, actor: User, draft_id: uuid.UUID) -> Draft:
    """The draft that this administrator made. Raises NotFound after an hour, or to others."""
    draft: Draft | None = cache.get(_key("draft", actor, draft_id))
    if draft is None:
        raise NotFound(_("This preview has expired: previews are kept for an hour. Start again."))
    return draft


def look_again(*, actor: User, draft: Draft) -> Draft:
    """The same draft with today's balances: what was right may be wrong by now."""
    lines = [
        FileLine(line.number, line.email, line.amount_ucr, line.reason) for line in draft.lines
    ]
    fresh = replace(draft, lines=_look_up(lines))
    cache.set(_key("draft", actor, draft.id), fresh, KEPT_S)
    return fresh


@answers_within(LONG_S)
@transaction.atomic
def book_draft(*, actor: User, draft: Draft) -> TopUpBatch:
    """The posted batch: all lines in one commit, with one line in the audit log. A draft that was
    posted before answers with the same batch.

    Raises InvalidInput if a line can't be posted (any more), and posts nothing then.
    """
    if draft.wrong:
        raise InvalidInput(_("Some lines cannot be posted, so nothing was posted."), field="lines")
    batch = ledger.top_up_many(
        batch_id=draft.id,
        lines=[(line.user_id or 0, line.amount_ucr) for line in draft.lines],
        actor=actor,
        reason=draft.reason,
        note=draft.note,
        reasons={line.user_id or 0: line.reason for line in draft.lines if line.reason},
    )
    told = AuditLine.objects.filter(
        action=BOOKED, subject_kind="topupbatch", subject_id=str(batch.pk)
    )
    if not told.exists():
        facts = {"people": batch.people, "credits": format_credits(batch.total_ucr)}
        audit.record(actor=actor, action=BOOKED, subject=batch, reason=batch.reason, after=facts)
    return batch


def _look_up(lines: Sequence[FileLine]) -> list[Line]:
    emails = {line.email.lower() for line in lines}
    known = {
        email: (user_id, (posted_ucr or 0) - (held_ucr or 0))
        for user_id, email, posted_ucr, held_ucr in User.objects.filter(email__in=emails)
        .order_by()
        .values_list("pk", "email", "account__posted_ucr", "account__held_ucr")
    }
    times = Counter(line.email.lower() for line in lines)
    return [_join(line, known.get(line.email.lower()), times) for line in lines]


def _join(line: FileLine, person: tuple[int, int] | None, times: Counter[str]) -> Line:
    joined = Line(line.number, line.email, line.amount_ucr, None, 0, line.reason, line.problem)
    if person is not None:
        joined = replace(joined, user_id=person[0], before_ucr=person[1])
    if joined.problem:
        return joined
    return replace(joined, problem=_find_problem(joined, times[line.email.lower()]))


def _find_problem(line: Line, times: int) -> str:
    if line.user_id is None:
        return _("No user has this e-mail address.")
    if times > 1:
        return _("This user is in the file %(times)d times.") % {"times": times}
    if line.after_ucr < 0:
        return only_available(line.before_ucr)
    return ""


def _check_count(people: int) -> None:
    if not people:
        raise InvalidInput(_("No one matches. Change the filter."), field="lines")
    if people > MAX_LINES:
        sentence = _("A batch can have at most %(most)d users. Select fewer.")
        raise InvalidInput(sentence % {"most": MAX_LINES}, field="lines")


def _key(what: str, actor: User, draft_id: uuid.UUID) -> str:
    """Under the administrator's own name: nobody finds another's."""
    return f"topups:{what}:{actor.pk}:{draft_id}"
