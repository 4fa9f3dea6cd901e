"""How a worker's lease ends by its own hand: one UPDATE, and the look that follows where it found
nothing (docs/decisions/outcome-unknown.md).
"""

import enum
import uuid
from typing import Any

from django.db.models import Case, PositiveSmallIntegerField, When
from django.db.models.expressions import Combinable

from webapp.generation.models import Image


class Ending(enum.Enum):
    """What came of a worker's wish to end its lease."""

    NOW = "by this call"
    BEFORE = "by an earlier call of the same attempt, whose answer was lost"
    LOST = "not at all: the image is somebody else's, or cancelled, or gone"


def end_lease(
    image_id: uuid.UUID, lease_token: uuid.UUID, into: Image.State, **changes: Any
) -> Ending:
    """Moves the image out of `running` for whoever holds its lease. Each way out is safe to ask
    for again by a worker that never heard the answer to its commit."""
    ended = Image.objects.filter(
        pk=image_id, state=Image.State.RUNNING, lease_token=lease_token
    ).update(state=into, ended_lease=lease_token, lease_token=None, lease_until=None, **changes)
    if ended:
        return Ending.NOW
    before = Image.objects.filter(pk=image_id, ended_lease=lease_token)
    if into != Image.State.QUEUED:  # what was given back may be anybody's by now
        before = before.filter(state=into)
    return Ending.BEFORE if before.exists() else Ending.LOST


def attempt(*, begun: Combinable, not_begun: Combinable) -> Case:
    """What `attempt` becomes of a drawing that had begun, and of one that had not."""
    return Case(
        When(drawing_since__isnull=False, then=begun),
        default=not_begun,
        output_field=PositiveSmallIntegerField(),
    )
