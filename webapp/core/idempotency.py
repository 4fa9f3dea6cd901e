"""A request that must happen once, however often it is sent.

    nothing ──claim──> running ──act and answer, one commit──> done     (gone after 24 hours)
       ^                  │ └──no commit for 60 s, sent again──> running, under a new token
       └────act raised────┘

The claim is committed before `act` begins, so that another sender sees that it runs. Whoever
lost the claim's token to a taker-over can no longer commit.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import Conflict, InvalidInput
from webapp.core.models import IdempotencyKey

KEPT = timedelta(hours=24)
LOST_AFTER = timedelta(seconds=60)
MAX_KEY_LENGTH = 64
CLAIM_ATTEMPTS = 3
OTHER_CONTENT = gettext_lazy("This form was already sent with other content. Open it again.")

State = IdempotencyKey.State


def run_once(
    *, scope: str, key: str, body: Mapping[str, Any] | str, act: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """What `act` answered for this `key` of this `scope` (a door and its user, say): it runs the
    first time, and its answer is kept for whoever sends the same body again.

    `act` runs in a transaction that this opens (it raises RuntimeError inside another one), and
    its answer is JSON. Raises Conflict if the key came with another body or its first request
    is still running, InvalidInput for a key that is empty or too long, and whatever `act`
    raises; then nothing is kept, and the key may be sent again with a corrected body.
    """
    check_key(key)
    found = _claim(scope=scope, key=key, body_hash=_hash(body))
    if found.state == State.DONE:
        return dict(found.answer or {})
    mine = IdempotencyKey.objects.filter(pk=found.pk, token=found.token, state=State.RUNNING)
    try:
        return _act_and_answer(mine, act)
    except Exception:
        # Without a database the claim stays, to be taken over once it counts as lost.
        with suppress(DatabaseError):
            mine.delete()
        raise


def purge_old_keys() -> int:
    """Forgets the keys that are older than 24 hours; returns how many there were."""
    deleted, _by_model = IdempotencyKey.objects.filter(started_at__lt=_too_old()).delete()
    return deleted


def _claim(*, scope: str, key: str, body_hash: str) -> IdempotencyKey:
    """The key, done already or running under a token that this call drew."""
    same_key = IdempotencyKey.objects.filter(scope=scope, key=key)
    claim = IdempotencyKey(scope=scope, key=key, body_hash=body_hash)
    for _attempt in range(CLAIM_ATTEMPTS):
        claim.started_at = Now()
        with transaction.atomic(durable=True):
            same_key.filter(started_at__lt=_too_old()).delete()
            IdempotencyKey.objects.bulk_create([claim], ignore_conflicts=True)
        found = same_key.first()
        if found is None:
            continue  # its first request failed this very moment
        if found.token == claim.token:
            return found
        if found.body_hash != body_hash:
            raise Conflict(OTHER_CONTENT)
        if found.state == State.DONE:
            return found
        lost = same_key.filter(token=found.token, state=State.RUNNING)
        lost.filter(started_at__lt=Now() - LOST_AFTER).update(token=claim.token, started_at=Now())
    raise Conflict(_("This is still in progress. Wait a moment, then check again."))


def _act_and_answer(
    mine: QuerySet[IdempotencyKey], act: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    with transaction.atomic(durable=True):
        answer: dict[str, Any] = json.loads(json.dumps(act()))
        if not mine.update(state=State.DONE, answer=answer):
            raise Conflict(_("This took too long and was started again. Check again in a moment."))
    return answer


def check_key(key: str) -> None:
    """Raises InvalidInput for a key that no form of ours sends."""
    if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise InvalidInput(
            _("The form's key must have 1 to %(most)d characters. Reload the page.")
            % {"most": MAX_KEY_LENGTH},
            field="idempotency_key",
        )


def _hash(body: Mapping[str, Any] | str) -> str:
    text = body if isinstance(body, str) else json.dumps(body, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _too_old() -> CombinedExpression:
    return Now() - KEPT
