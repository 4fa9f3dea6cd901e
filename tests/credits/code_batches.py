"""Batches of codes, and what they gave."""

import uuid
from typing import Any

from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes
from webapp.credits.code_text import derive_code, write_code
from webapp.credits.models import CodeBatch
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT


def make_batch(actor: User, **changes: Any) -> CodeBatch:
    body: dict[str, Any] = {"name": "Workshop", "amount_ucr": 5 * CREDIT, "count": 1}
    return codes.create_batch(**{"batch_id": uuid.uuid4(), "actor": actor, **body, **changes})


def texts(batch: CodeBatch) -> list[str]:
    return [
        write_code(derive_code(batch_id=batch.pk, number=number))
        for number in range(1, batch.count + 1)
    ]


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT - 200
