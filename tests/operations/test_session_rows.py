"""The rows of sessions go with whoever they name, and nobody else's are read for it."""

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.operations.test_people import busy, delete, is_in, sign_in
from webapp.accounts.models import User
from webapp.operations.people import finish_deletions

__all__ = ["busy"]
pytestmark = pytest.mark.django_db


def test_the_sessions_rows_go_too_and_nobody_elses(busy: User, bob: User, charlie: User) -> None:
    hers, his = sign_in(busy), sign_in(bob)
    assert Session.objects.count() == 2
    delete(busy, charlie)
    finish_deletions()
    assert Session.objects.count() == 1
    assert is_in(his)
    assert not is_in(hers)


def test_deleting_somebody_reads_no_session_of_anybody_else(busy: User, charlie: User) -> None:
    sign_in(busy)
    Session.objects.bulk_create(
        Session(session_key=f"stranger{number}", session_data="", expire_date=timezone.now())
        for number in range(50)
    )
    delete(busy, charlie)
    with CaptureQueriesContext(connection) as asked:
        assert finish_deletions() == 1
    on_sessions = [one["sql"] for one in asked if '"django_session"' in one["sql"]]
    assert on_sessions
    assert all("session_key" in sql.partition(" WHERE ")[2] for sql in on_sessions)
    assert Session.objects.count() == 50


def test_sessions_that_were_ended_from_afar_leave_no_row(busy: User, charlie: User) -> None:
    there, here = sign_in(busy), sign_in(busy)
    here.post("/account/sessions/end/", {})
    assert is_in(here)
    assert not is_in(there)
    here.get("/account/")
    assert Session.objects.count() == 1
    delete(busy, charlie)
    finish_deletions()
    assert not Session.objects.exists()
