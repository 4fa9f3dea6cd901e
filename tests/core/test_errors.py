"""What is said when something is in the way: a sentence and a way back, or JSON."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from webapp.core.errors import (
    Conflict,
    DarkroomError,
    InvalidInput,
    NotEnoughCredits,
    NotFound,
    TooMany,
    Unavailable,
)
from webapp.core.middleware import ErrorSentences
from webapp.core.units import format_credits, to_ucr

ERRORS = [
    (InvalidInput("Say a number.", field="steps"), 400, "invalid_input"),
    (NotFound("Nothing here."), 404, "not_found"),
    (NotEnoughCredits("This needs 1.00 credits."), 402, "not_enough_credits"),
    (Conflict("Used already."), 409, "conflict"),
    (TooMany("Wait a minute."), 429, "too_many"),
    (Unavailable("Come back soon."), 503, "unavailable"),
]
ASK = """
import json, logging, sys
import django
django.setup()
logging.disable()
from django.test import Client
client = Client(raise_request_exception=False)
client.cookies["sessionid"] = "x" * 32
answers = []
for method, path, accept in json.loads(sys.argv[1]):
    answer = getattr(client, method)(path, {"login": "a@b.org", "password": "x"},
                                     headers={"Accept": accept})
    answers.append([answer.status_code, answer.headers.get("Retry-After"), answer.content.decode()])
print(json.dumps(answers))
"""


def answer(error: Exception, accept: str) -> HttpResponse | None:
    def never(request: HttpRequest) -> HttpResponse:
        raise AssertionError("the view is not asked")

    request = RequestFactory().get("/", headers={"Accept": accept})
    return ErrorSentences(never).process_exception(request, error)


@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
def test_an_error_is_answered_to_scripts_in_json(
    error: DarkroomError, status: int, code: str
) -> None:
    response = answer(error, "application/json")
    assert response is not None
    body = json.loads(response.content)["error"]
    assert (response.status_code, body["code"], body["message"]) == (status, code, error.sentence)


@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
def test_an_error_is_answered_to_people_with_a_page_and_a_way_back(
    static_files: None, error: DarkroomError, status: int, code: str
) -> None:
    response = answer(error, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert response is not None
    page = response.content.decode()
    assert response.status_code == status
    assert error.sentence in page
    assert 'href="/"' in page


def test_a_sentence_is_text_and_never_markup(static_files: None) -> None:
    response = answer(NotFound("<script>alert(1)</script>"), "text/html")
    assert response is not None
    assert b"<script>alert" not in response.content


def test_an_error_that_nobody_expected_is_left_to_django() -> None:
    assert answer(ZeroDivisionError("/etc/passwd"), "text/html") is None


def test_an_unknown_address_needs_neither_a_user_nor_the_database(static_files: None) -> None:
    response = Client().get("/nowhere/")
    assert response.status_code == 404
    assert (
        "Nothing was found here. It may have been deleted, or you may not have access."
        in response.content.decode()
    )


def test_what_broke_stays_in_the_log(static_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr("webapp.operations.readiness.connection.cursor", break_down)
    response = Client(raise_request_exception=False).get("/readyz/")
    assert response.status_code == 500
    assert "Something went wrong on our side." in response.content.decode()
    assert "secret detail" not in response.content.decode()


def ask_elsewhere(requests: list[list[str]], **environment: str) -> list[list[Any]]:
    """What a process of its own answers that finds its servers away."""
    said = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", ASK, json.dumps(requests)],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "DARKROOM_ALLOWED_HOSTS": "testserver",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert said.returncode == 0, said.stderr
    answers: list[list[Any]] = json.loads(said.stdout)
    return answers


def test_a_database_that_is_away_is_answered_with_503_and_when_to_come_back(
    static_files: None,
) -> None:
    answers = ask_elsewhere(
        [
            ["get", "/", "text/html"],
            ["get", "/studio/state/", "application/json"],
            ["get", "/admin/", "text/html"],
            ["post", "/accounts/login/", "text/html"],
            ["get", "/readyz/", "*/*"],
            ["get", "/healthz/", "*/*"],
        ],
        DATABASE_URL="postgresql://darkroom@/darkroom?host=/nowhere",
    )
    for status, retry_after, body in answers[:-2]:
        assert (status, retry_after) == (503, "5")
        assert "The studio is busy." in body
    status, _retry_after, body = answers[-2]
    assert (status, json.loads(body)["database"]) == (503, "away")
    assert answers[-1] == [200, None, '{"status": "ok"}']


def test_people_sign_in_and_up_while_valkey_is_away(static_files: None, db: None) -> None:
    """The rate limits that it counts are counted by each process meanwhile."""
    server = urlsplit(os.environ["DATABASE_URL"])
    signing_in, page = ask_elsewhere(
        [["post", "/accounts/login/", "text/html"], ["get", "/accounts/signup/", "text/html"]],
        DATABASE_URL=urlunsplit(server._replace(path=f"/{connection.settings_dict['NAME']}")),
        REDIS_URL="unix:///nowhere/valkey.sock?db=0",
    )
    assert signing_in[:2] == [200, None]
    assert 'name="login"' in signing_in[2]  # the form again: it was sent empty
    assert page[0] == 200


@pytest.mark.parametrize(
    ("amount_ucr", "text"),
    [
        (0, "0.00"),
        (200_000, "0.20"),
        (1, "0.000001"),
        (-199_800_000, "-199.80"),
        (10**12, "1000000.00"),
    ],
)
def test_micro_credits_are_said_as_decimal_credits(amount_ucr: int, text: str) -> None:
    assert format_credits(amount_ucr) == text


def test_what_is_finer_than_a_micro_credit_is_refused() -> None:
    assert to_ucr(Decimal("0.2")) == 200_000
    with pytest.raises(ValueError, match="finer than a micro-credit"):
        to_ucr(Decimal("0.0000001"))
