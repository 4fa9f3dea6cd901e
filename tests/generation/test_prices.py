"""The price of a generation: quoted once, shown before, and never changed after."""

import uuid
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.pages import serve_plain_static
from tests.people import claim, finish, make_model, make_spec, submit
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, PriceList
from webapp.core.errors import Conflict, InvalidInput
from webapp.credits.selectors import get_balance
from webapp.generation.models import Generation, Image, QueueShare
from webapp.generation.queueing import services
from webapp.operations.audit import find_violations

pytestmark = [pytest.mark.django_db]
JSON = {"Accept": "application/json"}


@pytest.fixture
def as_alice(client: Client, alice: User, settings: LazySettings) -> Client:
    serve_plain_static(settings)
    client.force_login(alice)
    return client


def form(offered: DiffusionModel, **changes: Any) -> dict[str, Any]:
    fields = {"model": offered.slug, "prompt": "a fox", "count": "2"}
    return {**fields, "quoted_each_ucr": "200000", "idempotency_key": uuid.uuid4().hex, **changes}


def test_the_quote_is_stored_with_the_generation(
    alice: User, offered_model: DiffusionModel
) -> None:
    alice.group = make_group("Team")
    alice.save()
    prices = make_list(
        flat="0.2", metered={offered_model: ("0.00054", "0.1")}, groups={alice.group: "0.5"}
    )
    made = submit(alice, offered_model, count=3, steps=30, width_px=256, height_px=256)
    assert made.price_list_id == prices.pk
    assert made.price_each_ucr == 50_000, "the floor, and half of it, rounded to a hundredth"
    assert made.price_terms == {
        "mode": "metered",
        "factor": "0.00054",
        "floor_ucr": 100_000,
        "multiplier": "0.5",
        "group": "Team",
        "width_px": 256,
        "height_px": 256,
        "steps": 30,
    }
    assert get_balance(user=alice).held_ucr == 150_000


def test_a_new_price_leaves_what_is_queued_alone(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    make_list(flat="7")
    assert finish(claim(offered_model))
    assert get_balance(user=alice).posted_ucr == 200_000_000 - 200_000
    assert Generation.objects.get().price_list is None
    assert not list(find_violations())
    assert submit(alice, offered_model).price_each_ucr == 7_000_000


def test_another_price_than_the_one_shown_is_a_conflict_that_names_both(
    alice: User, offered_model: DiffusionModel
) -> None:
    make_list(flat="0.35")
    with pytest.raises(Conflict, match=r"changed from 0\.20 to 0\.35 credits"):
        services.submit_generation(
            owner=alice,
            model=offered_model,
            spec=make_spec(),
            idempotency_key="k",
            quoted_each_ucr=200_000,
        )
    assert not Generation.objects.exists()
    assert not QueueShare.objects.exists()
    assert get_balance(user=alice).held_ucr == 0


def test_a_form_sent_again_is_answered_as_the_first_time_whatever_the_price_is_by_now(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    sent = form(offered_model, quoted_each_ucr="200000")
    first = as_alice.post("/generations/", sent, headers=JSON).json()
    make_list(flat="0.35")
    again = as_alice.post("/generations/", sent, headers=JSON)
    assert again.status_code == 201
    assert again.json()["generation"] == first["generation"]
    assert Generation.objects.get().price_each_ucr == 200_000


def test_a_member_of_a_group_without_a_price_is_told_who_must_give_it_one(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    make_list(flat="0.2")
    alice.group = make_group("Guests")
    alice.save()
    with pytest.raises(InvalidInput, match="“Guests” has no price yet: an administrator must"):
        submit(alice, offered_model)
    assert not Generation.objects.exists()
    for path in ("/", "/prices/", "/credits/"):
        page = as_alice.get(path)
        assert page.status_code == 200
        assert "“Guests” has no price yet" in page.content.decode()


def test_a_group_that_pays_nothing_draws_for_free(
    alice: User, offered_model: DiffusionModel
) -> None:
    alice.group = make_group("Staff")
    alice.save()
    make_list(flat="0.2", groups={alice.group: "0"})
    submit(alice, offered_model, count=2)
    assert finish(claim(offered_model))
    assert get_balance(user=alice).posted_ucr == 200_000_000
    assert not list(find_violations())


def test_the_page_sends_back_the_price_that_it_showed(
    as_alice: Client, offered_model: DiffusionModel
) -> None:
    page = as_alice.get("/").content.decode()
    assert '<input type="hidden" name="quoted_each_ucr" value="200000">' in page
    assert "0.20 each" in page
    make_list(flat="0.35")
    refused = as_alice.post("/generations/", form(offered_model, quoted_each_ucr="200000"))
    page = refused.content.decode()
    assert refused.status_code == 409
    assert "The price of one image changed from 0.20 to 0.35 credits. Nothing was queued." in page
    assert 'name="quoted_each_ucr" value="350000"' in page
    assert not Generation.objects.exists()
    form_again = form(offered_model, quoted_each_ucr="350000")
    assert as_alice.post("/generations/", form_again).status_code == 302


@pytest.mark.parametrize("shown", ["-1", "0.2", "much", "9" * 19, "٣"])
def test_a_price_that_is_none_is_refused(
    as_alice: Client, offered_model: DiffusionModel, shown: str
) -> None:
    sent = form(offered_model, quoted_each_ucr=shown)
    answer = as_alice.post("/generations/", sent, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "quoted_each_ucr")
    assert not Generation.objects.exists()


def test_a_metered_price_stands_on_the_page_for_the_size_in_the_form(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    large = make_model(
        "large", width_px=512, height_px=512, steps=30, max_side_px=1024, max_pixels=2**20
    )
    DiffusionModel.objects.filter(pk=offered_model.pk).update(is_default=True)
    make_list(flat="0.2", metered={large: ("0.00000216", "0.1")})
    page = as_alice.get("/")
    facts = page.context["model_facts"]
    assert (facts["large"]["is_metered"], facts["large"]["price_ucr"]) == (True, None)
    assert (facts["tiny"]["is_metered"], facts["tiny"]["price_ucr"]) == (False, 200_000)
    made = submit(alice, large, width_px=512, height_px=512, steps=50)
    page = as_alice.get(f"/?from={made.images.get().pk}")
    assert page.context["composer"].price_each_ucr == 330_000


@pytest.mark.parametrize("wrong", [{"width": "wide"}, {"steps": "9" * 3000}, {"height": "-8"}])
def test_a_form_that_cannot_be_priced_shows_no_price(
    as_alice: Client, offered_model: DiffusionModel, wrong: dict[str, str]
) -> None:
    answer = as_alice.post("/generations/", form(offered_model, **wrong))
    assert answer.status_code == 400
    assert 'name="quoted_each_ucr" value=""' in answer.content.decode()


def test_the_price_asks_the_database_once(
    alice: User, offered_model: DiffusionModel, django_assert_num_queries: Any
) -> None:
    from webapp.catalog.pricing import read_prices

    alice.group = make_group("Team")
    alice.save()
    others = [make_model(f"model{number}") for number in range(5)]
    make_list(
        flat="0.2",
        flats=dict.fromkeys(others, "0.3"),
        groups={alice.group: "0.25", make_group("Others"): "4"},
    )
    user = User.objects.get(pk=alice.pk)
    with django_assert_num_queries(1):
        prices = read_prices(user=user)
    assert (prices.multiplier, len(prices.models)) == (Decimal("0.25"), 5)
    assert prices.flat_each_ucr == 50_000


def test_a_submission_asks_the_database_twice_more_for_a_member_and_once_for_others(
    alice: User, bob: User, offered_model: DiffusionModel, django_assert_num_queries: Any
) -> None:
    bob.group = make_group("Team", daily_spend_ucr=9_000_000, images_at_once=9)
    bob.save()
    make_list(flat="0.2", groups={bob.group: "1"})
    submit(alice, offered_model)
    submit(bob, offered_model)
    spec = make_spec()
    with django_assert_num_queries(7):
        services.submit_generation(
            owner=alice, model=offered_model, spec=spec, idempotency_key="k2"
        )
    bob = User.objects.get(pk=bob.pk)
    with django_assert_num_queries(8):
        services.submit_generation(owner=bob, model=offered_model, spec=spec, idempotency_key="k2")


def test_the_newest_list_is_in_force(alice: User, offered_model: DiffusionModel) -> None:
    for flat in ("1", "3", "2"):
        make_list(flat=flat)
    assert submit(alice, offered_model).price_each_ucr == 2_000_000
    assert PriceList.objects.count() == 3


class Forms(HTMLParser):
    """Every form of a page that spends: its hidden price, and the words of its buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.is_spending = False
        self.price = self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "form":
            address = facts.get("action") or ""
            self.is_spending = address == "/generations/" or address.endswith("/upscale/")
            self.price = self.words = ""
        if facts.get("name") == "quoted_each_ucr":
            self.price = facts.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.words += f" {data.strip()}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.is_spending:
            self.found.append((self.price, self.words))
            self.is_spending = False


def spending_forms(client: Client, path: str) -> list[tuple[str, str]]:
    page = Forms()
    page.feed(client.get(path).content.decode())
    return page.found


def test_every_button_that_spends_says_what_it_costs_and_sends_that(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=1)
    assert finish(claim(offered_model))
    image = Image.objects.get()
    forms = spending_forms(as_alice, f"/images/{image.pk}/")
    assert [price for price, _words in forms] == ["200000"] * 3
    for amount, (_price, words) in zip(("0.80", "0.20", "0.20"), forms, strict=True):
        assert f"{amount} credits" in words
    submit(alice, offered_model, count=1)
    Image.objects.filter(state="queued").update(state="cancelled")
    forms = spending_forms(as_alice, "/")
    assert [price for price, _words in forms] == ["200000"] * 2
    (again,) = [words for _price, words in forms if "Try again" in words]
    assert "0.20 credits" in again


def test_without_a_price_there_is_no_button_that_spends(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=1)
    assert finish(claim(offered_model))
    alice.group = make_group("Lab")
    alice.save()
    make_list("0.2")
    assert spending_forms(as_alice, f"/images/{Image.objects.get().pk}/") == []


@pytest.mark.parametrize("headers", [JSON, {"Accept": "text/html"}])
def test_nothing_is_spent_from_a_page_that_showed_no_price(
    as_alice: Client, alice: User, offered_model: DiffusionModel, headers: dict[str, str]
) -> None:
    submit(alice, offered_model, count=1)
    assert finish(claim(offered_model))
    image, before = Image.objects.get(), get_balance(user=alice)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/generations/", form(offered_model, quoted_each_ucr="")),
        ("/generations/", {"again": image.pk, "idempotency_key": "one"}),
        ("/generations/", {"again": image.pk, "seed": "random", "count": "4"}),
        (f"/images/{image.pk}/upscale/", {"idempotency_key": "two"}),
    ]
    for path, fields in asked:
        answer = as_alice.post(path, fields, headers=headers)
        assert answer.status_code == 400
        assert "No price was shown for this" in answer.content.decode()
    assert Generation.objects.count() == 1
    assert get_balance(user=alice) == before


@pytest.mark.parametrize("shown", ["2_00000", "٢00000", "1e5", "-1", "200000.0"])
def test_a_price_in_odd_dress_is_none(
    as_alice: Client, offered_model: DiffusionModel, shown: str
) -> None:
    answer = as_alice.post(
        "/generations/", form(offered_model, quoted_each_ucr=shown), headers=JSON
    )
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "quoted_each_ucr")
