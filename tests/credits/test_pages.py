"""The pages where people redeem codes and ask for credits."""

import uuid
from typing import Any

import pytest
from django.test import Client

from tests.core.fixtures import static_files
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes
from webapp.credits.code_text import derive_code, write_code
from webapp.credits.models import CreditRequest
from webapp.credits.requests import approve_request, decline_request
from webapp.credits.selectors import get_balance

__all__ = ["static_files"]

CREDIT = UCR_PER_CREDIT


@pytest.fixture(autouse=True)
def _pages(static_files: None, valkey_is_empty: None) -> None:
    """Pages need their static files, and nobody has tried a code before."""


@pytest.fixture
def hers(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def text(charlie: User) -> str:
    """A code for 5 credits."""
    batch = codes.create_batch(
        batch_id=uuid.uuid4(), actor=charlie, name="Workshop", amount_ucr=5 * CREDIT, count=1
    )
    return write_code(derive_code(batch_id=batch.pk, number=1))


def page_of(response: Any) -> str:
    return str(response.content.decode())


def test_a_code_is_redeemed_and_the_statement_says_what_it_gave(hers: Client, text: str) -> None:
    assert hers.get("/credits/redeem/").status_code == 200
    response = hers.post("/credits/redeem/", {"code": text}, follow=True)
    assert response.redirect_chain == [("/credits/", 302)]
    assert "The code gave you 5.00 credits. You have 205.00 now." in page_of(response)


def test_what_is_wrong_with_a_code_stands_at_its_field(hers: Client, text: str) -> None:
    hers.post("/credits/redeem/", {"code": text})
    for typed, status, sentence in (
        ("", 400, "This field is required."),
        ("x" * 101, 400, "at most 100 characters"),
        ("hello", 400, "A code looks like DR-"),
        ("0" * 26, 400, "There is no such code."),
        (text, 409, "You have redeemed this code already."),
    ):
        response = hers.post("/credits/redeem/", {"code": typed})
        assert response.status_code == status
        assert sentence in page_of(response)
        assert 'aria-invalid="true"' in page_of(response)
        assert 'id="id_code_error"' in page_of(response)


def test_the_eleventh_try_within_an_hour_is_refused_with_when_to_come_back(
    hers: Client, alice: User, text: str
) -> None:
    for number in range(10):
        hers.post("/credits/redeem/", {"code": f"{number:026d}"})
    hers.post("/credits/redeem/", {"code": "a slip of the pen"})  # is no try
    response = hers.post("/credits/redeem/", {"code": text})
    assert response.status_code == 429
    assert "Try again in 60 minutes." in page_of(response)
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT


def test_a_code_is_no_markup(hers: Client) -> None:
    response = hers.post("/credits/redeem/", {"code": '"><script>alert(1)</script>'})
    assert "<script>alert(1)" not in page_of(response)


def test_somebody_asks_and_sees_that_it_waits(hers: Client, alice: User) -> None:
    form = {"amount": "40.5", "reason": "a <b>poster</b>"}
    response = hers.post("/credits/request/", form, follow=True)
    assert response.redirect_chain == [("/credits/request/", 302)]
    assert "Your request was sent." in page_of(response)
    assert "40.50 credits" in page_of(response)
    assert "a &lt;b&gt;poster" in page_of(response)
    asked = CreditRequest.objects.get()
    assert (asked.user, asked.amount_ucr) == (alice, 40_500_000)


def test_what_is_wrong_with_a_request_stands_at_its_field(hers: Client) -> None:
    good = {"amount": "40", "reason": "a poster"}
    for field, value, sentence in (
        ("amount", "", "This field is required."),
        ("amount", "many", "“many” is not a number. Write it like 12.5."),
        ("amount", "NaN", "“NaN” is not a number. Write it like 12.5."),
        ("amount", "0", "Enter more than 0 and at most 1000000.00 credits"),
        ("amount", "-1", "Enter more than 0 and at most 1000000.00 credits"),
        ("amount", "1000000.000001", "Enter more than 0 and at most 1000000.00 credits"),
        ("amount", "0.1234567", "Enter at most 6 decimals."),
        ("reason", "   ", "This field is required."),
        ("reason", "x" * 501, "at most 500 characters"),
    ):
        response = hers.post("/credits/request/", {**good, field: value})
        assert response.status_code == 400, value
        assert sentence in page_of(response)
        assert f'id="id_{field}_error"' in page_of(response)
    assert not CreditRequest.objects.exists()


def test_a_second_request_is_refused_while_the_first_is_open(hers: Client) -> None:
    form = {"amount": "40", "reason": "a poster"}
    hers.post("/credits/request/", form)
    assert hers.post("/credits/request/", form).status_code == 409
    assert CreditRequest.objects.count() == 1


def test_a_request_is_withdrawn(hers: Client) -> None:
    hers.post("/credits/request/", {"amount": "40", "reason": "a poster"})
    asked = CreditRequest.objects.get()
    response = hers.post(f"/credits/request/{asked.pk}/withdrawal/", follow=True)
    assert "Your request was withdrawn." in page_of(response)
    assert CreditRequest.objects.get().state == "withdrawn"
    assert hers.post(f"/credits/request/{asked.pk}/withdrawal/").status_code == 409


def test_answers_stand_on_the_page(hers: Client, alice: User, charlie: User) -> None:
    for amount, reason in (("40", "a poster"), ("70", "a film")):
        hers.post("/credits/request/", {"amount": amount, "reason": reason})
        asked = CreditRequest.objects.get(state="open")
        if amount == "40":
            approve_request(
                request_id=asked.pk, actor=charlie, amount_ucr=15 * CREDIT, answer="To begin with"
            )
        else:
            decline_request(request_id=asked.pk, actor=charlie, answer="Too long")
    page = page_of(hers.get("/credits/request/"))
    for words in ("Given: 15.00 credits", "To begin with", "approved", "Too long", "declined"):
        assert words in page


def test_another_persons_request_is_not_there(hers: Client, bob: User) -> None:
    his = CreditRequest.objects.create(user=bob, amount_ucr=CREDIT, reason="mine")
    assert hers.post(f"/credits/request/{his.pk}/withdrawal/").status_code == 404
    assert "mine" not in page_of(hers.get("/credits/request/"))
