"""An administrator answers requests for credits."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.operations.passwords import give_password
from tests.people import PASSWORD, make_user
from webapp.accounts.models import User
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import CreditRequest
from webapp.credits.requests import ask_for_credits, withdraw_request
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT
LIST = "/admin/credits/creditrequest/"


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


@pytest.fixture
def asked(alice: User) -> CreditRequest:
    return ask_for_credits(user=alice, amount_ucr=40 * CREDIT, reason="a <b>poster</b>")


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT


def spend(user: User, credits: int) -> uuid.UUID:
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=user, amounts_ucr={image_id: credits * CREDIT})
    ledger.capture(image_id=image_id)
    return image_id


def page_of(response: Any) -> str:
    return str(response.content.decode())


def test_the_inbox_says_who_asks_what_they_have_and_what_they_used(
    admin: Client, alice: User, asked: CreditRequest
) -> None:
    for credits in (3, 4):
        spend(alice, credits)
    image_id = uuid.uuid4()
    ledger.hold_for_images(user=alice, amounts_ucr={image_id: CREDIT})
    ledger.release(image_id=image_id)
    page = page_of(admin.get(LIST))
    for words in (alice.email, "40.00", "a &lt;b&gt;poster", "193.00", "7.00 credits, 2 images"):
        assert words in page


def test_what_was_used_long_ago_does_not_count(
    admin: Client, alice: User, asked: CreditRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(alice, 3)
    assert "3.00 credits, 1 image" in page_of(admin.get(f"{LIST}{asked.pk}/answer/"))
    monkeypatch.setattr("webapp.credits.request_selectors.SPEND_DAYS", -1)  # since tomorrow
    assert "0.00 credits, 0 images" in page_of(admin.get(f"{LIST}{asked.pk}/answer/"))


def test_a_request_is_approved_in_one_click(
    admin: Client, alice: User, charlie: User, asked: CreditRequest
) -> None:
    url = f"{LIST}{asked.pk}/approval/"
    assert f'formaction="{url}"' in page_of(admin.get(LIST))
    response = admin.post(url, follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert "The request was approved." in page_of(response)
    assert have(alice) == 240
    assert AuditLine.objects.get(action="request.approve").actor == charlie
    assert "This request has already been answered" in page_of(admin.post(url, follow=True))
    assert have(alice) == 240


def test_one_click_takes_a_post_with_the_pages_token(
    admin: Client, alice: User, charlie: User, asked: CreditRequest
) -> None:
    url = f"{LIST}{asked.pk}/approval/"
    assert admin.get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(charlie)
    give_password(strict)
    assert strict.post(url).status_code == 403
    assert have(alice) == 200


def test_the_password_is_asked_for_and_then_the_click_goes_through(
    client: Client, alice: User, charlie: User, asked: CreditRequest
) -> None:
    client.force_login(charlie)
    url = f"{LIST}{asked.pk}/approval/"
    response = client.post(url)
    assert response["Location"] == f"/accounts/reauthenticate/?next={url.replace('/', '%2F')}"
    assert have(alice) == 200
    client.post(response["Location"], {"password": PASSWORD})
    assert have(alice) == 240


def test_many_are_approved_at_once_and_those_answered_meanwhile_are_told(
    admin: Client, alice: User, bob: User, asked: CreditRequest
) -> None:
    his = ask_for_credits(user=bob, amount_ucr=7 * CREDIT, reason="a film")
    gone = ask_for_credits(user=make_user("dora"), amount_ucr=CREDIT, reason="x")
    withdraw_request(user=gone.user, request_id=gone.pk)
    form = {"action": "approve_chosen", "_selected_action": [asked.pk, his.pk, gone.pk]}
    page = page_of(admin.post(LIST, form, follow=True))
    assert "2 requests were approved." in page
    assert "This request has already been answered or withdrawn." in page
    assert (have(alice), have(bob), have(gone.user)) == (240, 207, 200)


def test_choosing_only_answered_ones_approves_nothing(
    admin: Client, alice: User, asked: CreditRequest
) -> None:
    withdraw_request(user=alice, request_id=asked.pk)
    form = {"action": "approve_chosen", "_selected_action": [asked.pk]}
    page = page_of(admin.post(LIST, form, follow=True))
    assert "approved." not in page
    assert have(alice) == 200


def test_another_amount_is_given_with_an_answer(
    admin: Client, alice: User, asked: CreditRequest
) -> None:
    url = f"{LIST}{asked.pk}/answer/"
    assert "Asks for 40.00 credits: a &lt;b&gt;poster" in page_of(admin.get(url))
    form = {"amount": "15", "answer": "to begin with", "answer_with": "approve"}
    assert admin.post(url, form)["Location"] == LIST
    assert have(alice) == 215
    assert "15.00" in page_of(admin.get(f"{LIST}{asked.pk}/change/"))


def test_a_request_is_declined_with_an_answer(
    admin: Client, alice: User, asked: CreditRequest
) -> None:
    url = f"{LIST}{asked.pk}/answer/"
    form = {"amount": "40", "answer": "", "answer_with": "decline"}
    refused = admin.post(url, form)
    assert refused.status_code == 400
    assert "Enter 1 to 200 characters." in page_of(refused)
    assert admin.post(url, {**form, "answer": "next month"}).status_code == 302
    assert CreditRequest.objects.get().state == "declined"
    assert have(alice) == 200
    assert "declined" in page_of(admin.get(LIST))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"amount": "0"}, "Enter more than 0 and at most"),
        ({"amount": "-5"}, "Enter more than 0 and at most"),
        ({"amount": "many"}, "“many” is not a number. Write it like 12.5."),
        ({"amount": "0.0000001"}, "Enter at most 6 decimals."),
        ({"answer": "x" * 201}, "at most 200 characters"),
        ({"answer_with": "shrug"}, "Say whether you approve or decline."),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_and_changes_nothing(
    admin: Client, alice: User, asked: CreditRequest, changes: dict[str, str], sentence: str
) -> None:
    form = {"amount": "15", "answer": "", "answer_with": "approve", **changes}
    response = admin.post(f"{LIST}{asked.pk}/answer/", form)
    assert response.status_code == 400
    assert sentence in page_of(response)
    assert CreditRequest.objects.get().state == "open"


def test_a_request_that_is_not_there_is_not_found(admin: Client) -> None:
    for key in ("7", "x"):
        assert admin.get(f"{LIST}{key}/answer/").status_code == 404


def test_staff_who_may_only_look_answer_nothing(
    client: Client, alice: User, asked: CreditRequest
) -> None:
    dora = make_user("dora", is_staff=True)
    dora.user_permissions.add(Permission.objects.get(codename="view_creditrequest"))
    client.force_login(dora)
    give_password(client)
    page = page_of(client.get(LIST))
    assert "a &lt;b&gt;poster" in page
    assert "formaction" not in page
    assert client.post(f"{LIST}{asked.pk}/approval/").status_code == 403
    assert client.post(f"{LIST}{asked.pk}/answer/").status_code == 403
    client.post(LIST, {"action": "approve_chosen", "_selected_action": [asked.pk]})
    assert have(alice) == 200


def test_open_requests_stand_first(admin: Client, alice: User, bob: User) -> None:
    first = ask_for_credits(user=alice, amount_ucr=CREDIT, reason="the open one")
    later = ask_for_credits(user=bob, amount_ucr=CREDIT, reason="the answered one")
    withdraw_request(user=bob, request_id=later.pk)
    assert first.created_at < later.created_at
    page = page_of(admin.get(LIST))
    assert page.index("the open one") < page.index("the answered one")


def test_a_page_of_the_inbox_costs_a_handful_of_queries(
    admin: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        user = make_user(f"u{number}")
        spend(user, 1)
        ask_for_credits(user=user, amount_ucr=CREDIT, reason="x")
    with django_assert_max_num_queries(12):
        assert admin.get(LIST).status_code == 200
