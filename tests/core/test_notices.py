"""Notices to administrators: one for each cause, withdrawn when that is gone, and no other."""

import pytest

from webapp.core.models import Notice
from webapp.core.notices import tell_admins, withdraw, withdraw_all

pytestmark = pytest.mark.django_db


def stand(*codes: str) -> None:
    for code in codes:
        tell_admins(code=code, sentence="Something is wrong.")


def standing() -> set[str]:
    return set(Notice.objects.values_list("code", flat=True))


def test_a_model_that_draws_again_takes_back_its_own_notices_only() -> None:
    stand("model:out_of_memory:gpu1", "model:bad_file:gpu1", "model:bad_file:b", "clock:gpu1")
    withdraw_all(kind="model", about="gpu1")
    assert standing() == {"model:bad_file:b", "clock:gpu1"}


def test_a_cause_that_is_gone_takes_back_its_notice_and_none_whose_code_ends_alike() -> None:
    stand("storage:gpu1", "old-storage:gpu1")
    withdraw(code="storage:gpu1")
    assert standing() == {"old-storage:gpu1"}


def test_a_notice_that_is_told_again_is_counted() -> None:
    stand("storage:gpu1", "storage:gpu1")
    assert Notice.objects.get().times == 2
