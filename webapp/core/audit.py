"""The audit log: written in the transaction of the change that it tells of."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from webapp.core.models import AuditLine

NAME_LENGTH = 254


def record(
    *,
    actor: Model | None,
    action: str,
    subject: Model,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditLine:
    """The line that says who did `action` ("credits.top_up", "user.suspend") to `subject`.

    `actor` None is the studio itself (a schedule, a command). `before` and `after` hold what
    changed, as JSON; call it inside the transaction that makes the change.
    """
    return AuditLine.objects.create(
        actor_id=actor.pk if actor else None,
        actor_name=str(actor or "")[:NAME_LENGTH],
        action=action,
        subject_kind=subject._meta.model_name or "",
        subject_id=str(subject.pk),
        subject_name=str(subject)[:NAME_LENGTH],
        reason=reason,
        before=dict(before or {}),
        after=dict(after or {}),
    )


def changed_fields(subject: Model) -> set[str]:
    """The names of the row's fields that somebody changed by hand."""
    kind, key = subject._meta.model_name or "", str(subject.pk)
    lines = AuditLine.objects.filter(subject_kind=kind, subject_id=key)
    return {name for after in lines.values_list("after", flat=True) for name in after}
