"""The price list as users read it, and the quote that their page asks for."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.pages import serve_plain_static
from tests.people import make_model
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel

SIZE = {"width": "512", "height": "512", "steps": "50"}


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


@pytest.fixture
def large(db: None) -> DiffusionModel:
    sides = {"width_px": 512, "height_px": 512, "max_side_px": 1024, "max_pixels": 2**20}
    return make_model("large", steps=30, **sides)


@pytest.mark.parametrize("path", ["/prices/", "/prices/quote/?model=tiny"])
def test_a_stranger_is_sent_to_the_sign_in_page(as_alice: Client, path: str) -> None:
    as_alice.logout()
    assert as_alice.get(path)["Location"].startswith("/accounts/login/")


def test_before_there_is_a_list_the_page_says_the_settings_price(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    page = as_alice.get("/prices/").content.decode()
    assert "In force since the studio was opened." in page
    assert "0.20 an image" in page
    assert "Versions" not in page


def test_a_metered_price_without_a_floor_says_in_words_what_is_free(
    as_alice: Client, large: DiffusionModel
) -> None:
    make_list(flat="0.2", metered={large: ("0.00000216", "0")})
    page = as_alice.get("/prices/").content.decode()
    assert "by size and steps, free up to about 412 × 412" in page


def test_everybody_reads_what_is_in_force_what_it_costs_them_and_what_was_before(
    as_alice: Client, alice: User, offered_model: DiffusionModel, large: DiffusionModel
) -> None:
    alice.group = make_group("Team")
    alice.save()
    first = make_list(flat="0.2", groups={alice.group: "1"}, note="in the beginning")
    second = make_list(
        flat="0.3", metered={large: ("0.00000216", "0.1")}, groups={alice.group: "0.5"}
    )
    response = as_alice.get("/prices/")
    assert {line.model.slug: line.usual_ucr for line in response.context["models"]} == {
        "tiny": 150_000,
        "large": 100_000,
    }
    versions = response.context["versions"]
    assert [line.version for line in versions] == [second, first]
    assert [line.until for line in versions] == [None, second.created_at]
    assert [line.share for line in versions] == ["0.5", "1"]
    page = response.content.decode()
    assert f": version {second.pk}." in page
    assert "You are in the group Team, which pays 0.5 times the list price." in page
    assert "by size and steps, at least 0.10" in page
    assert "in the beginning" in page


def test_nobody_reads_of_models_that_are_for_others(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    secret = make_model("secret")
    bob.group = make_group("Lab")
    bob.save()
    secret.groups.add(bob.group)
    make_list(flat="0.2", flats={secret: "9"}, groups={bob.group: "1"})
    assert "Secret" not in as_alice.get("/prices/").content.decode()
    as_alice.force_login(bob)
    assert "Secret" in as_alice.get("/prices/").content.decode()


def test_the_page_asks_the_same_for_many_versions_and_models_as_for_few(
    as_alice: Client, offered_model: DiffusionModel, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        model, group = make_model(f"model{number}"), make_group(f"group{number}")
        make_list(flat="0.2", flats={model: "1"}, groups={group: "1"})
    as_alice.get("/prices/")
    with django_assert_max_num_queries(10):
        as_alice.get("/prices/")


def test_a_quote_says_the_price_and_how_it_came_about(
    as_alice: Client, large: DiffusionModel
) -> None:
    made = make_list(flat="0.2", metered={large: ("0.00000216", "0.1")})
    assert as_alice.get("/prices/quote/", {"model": "large", **SIZE}).json() == {
        "price_each_ucr": 330_000,
        "price_each": "0.33",
        "price_list": made.pk,
        "terms": {
            "mode": "metered",
            "factor": "0.00000216",
            "floor_ucr": 100_000,
            "multiplier": "1",
            "group": "",
            "width_px": 512,
            "height_px": 512,
            "steps": 50,
        },
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", "wide"),
        ("width", ""),
        ("width", "1032"),
        ("width", "513"),
        ("height", "0"),
        ("height", "-512"),
        ("steps", "151"),
        ("steps", "9" * 5000),
        ("model", "nobody"),
        ("model", ""),
    ],
)
def test_a_quote_for_what_cannot_be_drawn_is_refused_with_a_sentence(
    as_alice: Client, large: DiffusionModel, field: str, value: str
) -> None:
    asked = {"model": "large", **SIZE, field: value}
    answer = as_alice.get("/prices/quote/", asked, headers={"Accept": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, field)
    assert error["message"]


def test_a_model_for_other_groups_is_neither_quoted_nor_offered_nor_drawn(
    as_alice: Client, alice: User, bob: User, large: DiffusionModel
) -> None:
    large.groups.add(make_group("Lab"), make_group("Team"))
    json = {"Accept": "application/json"}
    asked = {"model": "large", **SIZE}
    form = {
        "model": "large",
        "prompt": "a fox",
        "idempotency_key": "k",
        "quoted_each_ucr": "200000",
    }
    answers = [
        as_alice.get("/prices/quote/", asked, headers=json),
        as_alice.post("/generations/", form, headers=json),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert "is for other groups. On offer: none yet." in answer.json()["error"]["message"]
    assert as_alice.get("/").context["composer"].models == []
    alice.group = large.groups.get(name="Lab")
    alice.save()
    assert as_alice.get("/prices/quote/", asked, headers=json).status_code == 200
    assert as_alice.post("/generations/", form, headers=json).status_code == 201
    assert as_alice.get("/").context["composer"].models == [large]
