"""What an image costs: flat, metered, shares of groups, and how it is rounded."""

from decimal import Decimal

import pytest
from django.conf import LazySettings

from tests.people import make_model
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.catalog.pricing import Terms, quote_image, read_prices
from webapp.core.errors import InvalidInput

SD = Terms("metered", factor=Decimal("2.16e-6"), floor_ucr=50_000)
SDXL = Terms("metered", factor=Decimal("5.4e-6"), floor_ucr=50_000)


@pytest.mark.parametrize(
    ("width_px", "height_px", "steps", "price_ucr"),
    [
        (512, 512, 30, 200_000),
        (512, 512, 50, 330_000),
        (1024, 1024, 30, 1_900_000),
        (411, 412, 30, 50_000),
        (64, 64, 150, 50_000),
        (412, 412, 30, 50_000),
    ],
)
def test_metered_prices_follow_the_curve_and_never_go_below_their_floor(
    width_px: int, height_px: int, steps: int, price_ucr: int
) -> None:
    assert SD.price_ucr(width_px=width_px, height_px=height_px, steps=steps) == price_ucr


def test_sdxl_costs_two_and_a_half_times_as_much() -> None:
    assert SDXL.price_ucr(width_px=1024, height_px=1024, steps=30) == 4_750_000


def test_a_metered_price_is_rounded_once_half_up_to_a_hundredth() -> None:
    # (412 * 412 - 169527) = 217 pixels; times the factor this is 0.005 and a little less.
    half = Terms("metered", factor=Decimal("0.005") / 217, floor_ucr=0)
    assert half.factor is not None
    exact = Terms("metered", factor=half.factor.quantize(Decimal("1e-27")), floor_ucr=5_000)
    assert exact.price_ucr(width_px=412, height_px=412, steps=30) == 10_000
    floor = Terms("metered", factor=Decimal("1e-9"), floor_ucr=14_999)
    assert floor.price_ucr(width_px=64, height_px=64, steps=1) == 10_000
    # Rounded before its share was taken it would be 0.02 * 0.5 = 0.01.
    share = Terms("metered", factor=Decimal("1e-9"), floor_ucr=29_999)
    half_share = share.price_ucr(width_px=64, height_px=64, steps=1, multiplier=Decimal("0.5"))
    assert half_share == 10_000
    third = share.price_ucr(width_px=64, height_px=64, steps=1, multiplier=Decimal("0.1667"))
    assert third == 10_000


@pytest.mark.parametrize(
    ("floor_ucr", "share", "price_ucr"),
    [
        (20_000, "0.1", 2_000),  # a hundredth would make it 0
        (20_000, "0.25", 10_000),
        (49_999, "0.1", 5_000),
        (4_999, "1", 4_999),
        (1, "0.0001", 1),
        (20_000, "0", 0),
        (0, "1", 0),
    ],
)
def test_a_metered_price_is_0_only_if_the_list_or_the_share_says_free(
    floor_ucr: int, share: str, price_ucr: int
) -> None:
    terms = Terms("metered", factor=Decimal("1e-9"), floor_ucr=floor_ucr)
    size = {"width_px": 64, "height_px": 64, "steps": 1}
    assert terms.price_ucr(**size, multiplier=Decimal(share)) == price_ucr


def test_a_flat_price_under_a_small_share_is_at_least_a_micro_credit() -> None:
    size = {"width_px": 64, "height_px": 64, "steps": 1}
    assert Terms("flat", flat_ucr=100).price_ucr(**size, multiplier=Decimal("0.0001")) == 1
    assert Terms("flat", flat_ucr=0).price_ucr(**size, multiplier=Decimal("0.0001")) == 0


def test_a_flat_price_is_exact_to_the_micro_credit() -> None:
    flat = Terms("flat", flat_ucr=123_457)
    assert flat.price_ucr(width_px=9999, height_px=1, steps=150) == 123_457
    half = flat.price_ucr(width_px=9999, height_px=1, steps=150, multiplier=Decimal("0.5"))
    assert half == 61_729


@pytest.fixture
def size() -> dict[str, int]:
    return {"width_px": 512, "height_px": 512, "steps": 30}


def test_before_there_is_a_list_every_image_costs_the_setting(
    alice: User, offered_model: DiffusionModel, settings: LazySettings, size: dict[str, int]
) -> None:
    settings.PRICE_PER_IMAGE = Decimal("0.7")
    alice.group = make_group("Team")
    alice.save()
    quote = quote_image(user=alice, model=offered_model, **size)
    assert (quote.price_each_ucr, quote.price_list_id) == (700_000, None)
    assert quote.terms["multiplier"] == "1"


def test_each_model_has_its_own_price_or_the_lists(alice: User, size: dict[str, int]) -> None:
    usual, dear, metered = (make_model(slug) for slug in ("usual", "dear", "metered"))
    made = make_list(flat="0.2", flats={dear: "3"}, metered={metered: ("0.00000216", "0.1")})
    prices = {
        model.slug: quote_image(user=alice, model=model, **{**size, "steps": 50})
        for model in (usual, dear, metered)
    }
    assert {slug: quote.price_each_ucr for slug, quote in prices.items()} == {
        "usual": 200_000,
        "dear": 3_000_000,
        "metered": 330_000,
    }
    assert {quote.price_list_id for quote in prices.values()} == {made.pk}
    assert prices["usual"].terms == {
        "mode": "flat",
        "flat_ucr": 200_000,
        "multiplier": "1",
        "group": "",
        **{**size, "steps": 50},
    }


def test_a_group_pays_its_share_and_strangers_all_of_it(
    alice: User, bob: User, offered_model: DiffusionModel, size: dict[str, int]
) -> None:
    alice.group = make_group("Team")
    make_list(flat="0.2", groups={alice.group: "0.25", make_group("Others"): "100"})
    assert quote_image(user=alice, model=offered_model, **size).price_each_ucr == 50_000
    assert quote_image(user=bob, model=offered_model, **size).price_each_ucr == 200_000


def test_who_falls_out_of_a_deleted_group_pays_as_everybody(
    alice: User, offered_model: DiffusionModel, size: dict[str, int]
) -> None:
    alice.group = make_group("Team")
    alice.save()
    make_list(flat="0.2", groups={alice.group: "0"})
    alice.group.delete()
    alice.refresh_from_db()
    assert quote_image(user=alice, model=offered_model, **size).price_each_ucr == 200_000


def test_a_group_without_a_price_has_none(
    alice: User, offered_model: DiffusionModel, size: dict[str, int]
) -> None:
    make_list(flat="0.2", groups={make_group("Others"): "1"})
    alice.group = make_group("Guests")
    prices = read_prices(user=alice)
    assert prices.flat_each_ucr is None
    assert "“Guests” has no price yet" in prices.problem
    with pytest.raises(InvalidInput, match="an administrator must give it one"):
        prices.quote(model=offered_model, **size)
