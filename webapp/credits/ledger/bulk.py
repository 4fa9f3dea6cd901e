"""Many people topped up in one batch: all or nothing, in a handful of statements."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.units import format_credits
from webapp.credits.ledger.by_hand import check_words, tell_amount
from webapp.credits.ledger.posting import Posting, lock_accounts_of, post
from webapp.credits.models import Account, TopUpBatch, Transaction

Lines = Sequence[tuple[int, int]]


@transaction.atomic
def top_up_many(
    *,
    batch_id: uuid.UUID,
    lines: Lines,
    actor: User,
    reason: str,
    note: str = "",
    reasons: Mapping[int, str] | None = None,
) -> TopUpBatch:
    """The batch of `(user id, amount in micro-credits)`, posted in one commit; a negative amount
    takes credits away. `reasons` (user id -> reason) stand on the lines of those people in place
    of the batch's reason.

    The same id with the same body answers with the batch that was made before; with another body
    it raises Conflict. Raises InvalidInput that names the first line that can't be posted (an
    amount of 0 or an absurd one, a user twice or without an account, more taken than is
    available), and changes nothing then.
    """
    own = {user_id: text.strip() for user_id, text in (reasons or {}).items() if text.strip()}
    for text in (reason, *own.values()):
        check_words(reason=text, note=note)
    _check_lines(lines)
    body_hash = _hash([sorted(lines), reason.strip(), note.strip(), sorted(own.items())])
    batch, is_new = TopUpBatch.objects.get_or_create(
        pk=batch_id,
        defaults={
            "actor": actor,
            "actor_name": actor.email,
            "reason": reason.strip(),
            "note": note.strip(),
            "people": len(lines),
            "total_ucr": sum(amount_ucr for _user_id, amount_ucr in lines),
            "lines_hash": body_hash,
        },
    )
    if batch.lines_hash != body_hash:
        raise Conflict(_("This batch was already posted with other lines. Start a new one."))
    if is_new:
        accounts = lock_accounts_of(user_id for user_id, _amount_ucr in lines)
        _check_accounts(lines, accounts)
        postings = [
            _posting(batch, number, accounts[user_id], amount_ucr, reason=own.get(user_id, ""))
            for number, (user_id, amount_ucr) in enumerate(lines, start=1)
        ]
        post(postings, actor=actor, reason=batch.reason, note=batch.note, batch_id=batch.pk)
    return batch


def _check_lines(lines: Lines) -> None:
    if not lines:
        raise InvalidInput(_("This batch has no users."), field="lines")
    seen: set[int] = set()
    for number, (user_id, amount_ucr) in enumerate(lines, start=1):
        if problem := tell_amount(amount_ucr):
            raise _refusal(number, problem)
        if user_id in seen:
            raise _refusal(number, _("This user is in the batch twice."))
        seen.add(user_id)


def _check_accounts(lines: Lines, accounts: Mapping[int, Account]) -> None:
    for number, (user_id, amount_ucr) in enumerate(lines, start=1):
        account = accounts.get(user_id)
        if account is None:
            raise _refusal(number, _("This user has no account."))
        if account.available_ucr + amount_ucr < 0:
            raise _refusal(number, only_available(account.available_ucr))


def only_available(available_ucr: int) -> str:
    """The sentence for who would have less than nothing."""
    sentence = _("Only %(available)s credits can be taken away.")
    return sentence % {"available": format_credits(available_ucr)}


def _refusal(number: int, sentence: str) -> InvalidInput:
    told = _("Line %(number)d: %(sentence)s") % {"number": number, "sentence": sentence}
    return InvalidInput(told, field="lines")


def _posting(
    batch: TopUpBatch, number: int, account: Account, amount_ucr: int, *, reason: str
) -> Posting:
    is_top_up = amount_ucr > 0
    return Posting(
        account_id=account.pk,
        amount_ucr=amount_ucr,
        kind=Transaction.Kind.TOP_UP if is_top_up else Transaction.Kind.ADJUSTMENT,
        against=Account.Kind.GRANTS if is_top_up else Account.Kind.ADJUSTMENTS,
        # Posted in the order of the keys: by its number, a line keeps its place.
        key=f"batch:{batch.pk}:{number:06d}",
        reason=reason,
    )


def _hash(body: Sequence[object]) -> str:
    """Of what was asked, whatever the order of its lines."""
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()
