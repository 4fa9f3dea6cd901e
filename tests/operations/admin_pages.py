"""Pages of the admin site, as an administrator with a fresh password reads them."""

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.operations.passwords import give_password
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Transaction

CREDIT = UCR_PER_CREDIT


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


def top_up(user: User, charlie: User, credits: int, reason: str = "prize") -> Transaction:
    return ledger.top_up(
        user=user,
        amount_ucr=credits * CREDIT,
        actor=charlie,
        reason=reason,
        key=str(uuid.uuid4()),
    )


def words_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def count_queries(admin: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(path).status_code == 200
    return len(queries)


def page_of(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/change/"
