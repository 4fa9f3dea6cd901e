"""The next version of the price list: whole, in order, and written into the audit log."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection

from tests.people import make_model
from tests.prices import make_group, make_list
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, GroupPrice, ModelPrice, PriceList
from webapp.catalog.price_services import PriceDraft, price_group, publish_prices, read_draft
from webapp.catalog.pricing import Terms, quote_image
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.models import AuditLine

SIZE = {"width_px": 512, "height_px": 512, "steps": 30}


def test_a_version_says_everything_and_is_in_force_at_once(
    charlie: User, alice: User, offered_model: DiffusionModel
) -> None:
    dear, metered = make_model("dear"), make_model("metered")
    team = make_group("Team")
    draft = PriceDraft(
        flat_ucr=300_000,
        models={
            dear.pk: Terms("flat", flat_ucr=2_000_000),
            metered.pk: Terms("metered", factor=Decimal("2.16e-6"), floor_ucr=100_000),
        },
        groups={team.pk: Decimal("0.5")},
    )
    made = publish_prices(draft=draft, based_on=None, actor=charlie, note=" dearer ")
    assert (made.created_by, made.note) == (charlie, "dearer")
    assert read_draft() == (made.pk, draft)
    alice.group = team
    costs = [
        quote_image(user=alice, model=model, **SIZE).price_each_ucr
        for model in (offered_model, dear, metered)
    ]
    assert costs == [150_000, 1_000_000, 100_000]


def test_the_audit_log_holds_what_changed_and_who_changed_it(
    charlie: User, offered_model: DiffusionModel
) -> None:
    team = make_group("Team")
    made = make_list(flat="0.2", groups={team: "1"})
    terms = Terms("metered", factor=Decimal("0.00000216"), floor_ucr=100_000)
    draft = PriceDraft(250_000, {offered_model.pk: terms}, {team.pk: Decimal("0.5")})
    publish_prices(draft=draft, based_on=made.pk, actor=charlie, note="spring")
    line = AuditLine.objects.get()
    assert (line.actor_id, line.action, line.reason) == (charlie.pk, "prices.publish", "spring")
    assert line.before == {"flat": "0.20", "model tiny": "", "group Team": "1"}
    assert line.after == {
        "flat": "0.25",
        "model tiny": "metered 0.00000216 >= 0.10",
        "group Team": "0.5",
    }


def test_who_started_from_an_older_version_is_told(charlie: User) -> None:
    first = make_list(flat="0.2")
    make_list(flat="0.3")
    with pytest.raises(Conflict, match="Someone else changed the prices in the meantime"):
        publish_prices(draft=PriceDraft(400_000), based_on=first.pk, actor=charlie)
    with pytest.raises(Conflict, match="Someone else"):
        publish_prices(draft=PriceDraft(400_000), based_on=None, actor=charlie)
    assert PriceList.objects.count() == 2


def test_a_list_that_says_the_same_is_no_new_version(charlie: User) -> None:
    team = make_group("Team")
    made = make_list(flat="0.2", groups={team: "0.5"})
    same = PriceDraft(200_000, groups={team.pk: Decimal("0.5000")})
    with pytest.raises(Conflict, match="Nothing changes"):
        publish_prices(draft=same, based_on=made.pk, actor=charlie)


def test_the_first_list_may_say_what_the_defaults_say(charlie: User) -> None:
    number, defaults = read_draft()
    made = publish_prices(draft=defaults, based_on=number, actor=charlie)
    assert read_draft() == (made.pk, defaults)
    assert AuditLine.objects.get().after == {}
    with pytest.raises(Conflict, match="Nothing changes"):
        publish_prices(draft=defaults, based_on=made.pk, actor=charlie)


@pytest.mark.django_db(transaction=True)
def test_of_many_administrators_in_the_same_instant_one_makes_the_next_version(
    charlie: User,
) -> None:
    made = make_list(flat="0.2")

    def publish(turn: int) -> int:
        draft = PriceDraft(300_000 + turn)
        try:
            publish_prices(draft=draft, based_on=made.pk, actor=charlie)
        except Conflict:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(publish, range(8))) == 1
    assert PriceList.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_shares_given_in_the_same_instant_are_all_kept(charlie: User) -> None:
    groups = [make_group(f"Group {number}") for number in range(6)]
    make_list(flat="0.2", groups=dict.fromkeys(groups, "1"))

    def give(number: int) -> None:
        try:
            price_group(group=groups[number], multiplier=Decimal(number + 2), actor=charlie)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(give, range(6)))
    expected = {group.pk: Decimal(number + 2) for number, group in enumerate(groups)}
    assert read_draft()[1].groups == expected


BAD_TERMS = [
    (Terms("flat", flat_ucr=-1), "flat_"),
    (Terms("flat", flat_ucr=1_000_000_000_001), "flat_"),
    (Terms("flat"), "flat_"),
    (Terms("metered", factor=Decimal(0), floor_ucr=1), "factor_"),
    (Terms("metered", factor=Decimal("-1e-6"), floor_ucr=1), "factor_"),
    (Terms("metered", factor=Decimal("0.0011"), floor_ucr=1), "factor_"),
    (Terms("metered", factor=Decimal("1.0000001e-6"), floor_ucr=1), "factor_"),
    (Terms("metered", factor=Decimal("NaN"), floor_ucr=1), "factor_"),
    (Terms("metered", floor_ucr=1), "factor_"),
    (Terms("metered", factor=Decimal("1e-6"), floor_ucr=-1), "floor_"),
    (Terms("metered", factor=Decimal("1e-6")), "floor_"),
]


@pytest.mark.parametrize(("terms", "field"), BAD_TERMS)
def test_a_price_that_will_not_do_is_refused_and_named(
    charlie: User, offered_model: DiffusionModel, terms: Terms, field: str
) -> None:
    draft = PriceDraft(200_000, {offered_model.pk: terms})
    with pytest.raises(InvalidInput) as refused:
        publish_prices(draft=draft, based_on=None, actor=charlie)
    assert refused.value.field == f"{field}{offered_model.pk}"
    assert not PriceList.objects.exists()
    assert not AuditLine.objects.exists()


@pytest.mark.parametrize("share", ["-0.1", "100.0001", "0.00001", "NaN", "Infinity"])
def test_a_share_that_will_not_do_is_refused(charlie: User, share: str) -> None:
    team = make_group("Team")
    draft = PriceDraft(200_000, groups={team.pk: Decimal(share)})
    with pytest.raises(InvalidInput, match="from 0 to 100, with at most 4 decimals"):
        publish_prices(draft=draft, based_on=None, actor=charlie)
    with pytest.raises(InvalidInput, match="from 0 to 100"):
        price_group(group=team, multiplier=Decimal(share), actor=charlie)
    assert not PriceList.objects.exists()


@pytest.mark.parametrize("flat_ucr", [-1, 1_000_000_000_001])
def test_an_absurd_flat_price_is_refused(charlie: User, flat_ucr: int) -> None:
    with pytest.raises(InvalidInput, match=r"from 0 to 1000000\.00 credits"):
        publish_prices(draft=PriceDraft(flat_ucr), based_on=None, actor=charlie)


def test_a_note_that_is_too_long_is_refused(charlie: User) -> None:
    with pytest.raises(InvalidInput, match="at most 200 characters"):
        publish_prices(draft=PriceDraft(1), based_on=None, actor=charlie, note="x" * 201)


def test_every_group_needs_a_share(charlie: User) -> None:
    team, guests = make_group("Team"), make_group("Guests")
    draft = PriceDraft(200_000, groups={team.pk: Decimal(1)})
    with pytest.raises(
        InvalidInput, match="the share of the price that the group “Guests” pays"
    ) as no:
        publish_prices(draft=draft, based_on=None, actor=charlie)
    assert no.value.field == f"group_{guests.pk}"


def test_what_is_gone_meanwhile_is_not_priced(charlie: User) -> None:
    for draft in (
        PriceDraft(1, groups={999: Decimal(1)}),
        PriceDraft(1, {999: Terms("flat", flat_ucr=1)}),
    ):
        with pytest.raises(Conflict, match="no longer exists"):
            publish_prices(draft=draft, based_on=None, actor=charlie)


def test_a_group_alone_gets_a_share_and_all_else_stays(
    charlie: User, offered_model: DiffusionModel
) -> None:
    team, guests = make_group("Team"), make_group("Guests")
    assert price_group(group=team, multiplier=Decimal(1), actor=charlie) is None
    first = price_group(group=team, multiplier=Decimal("0.5"), actor=charlie)
    assert first is not None
    assert read_draft()[1] == PriceDraft(
        200_000, {}, {team.pk: Decimal("0.5"), guests.pk: Decimal(1)}
    )
    make_list(flat="0.3", flats={offered_model: "1"}, groups={team: "0.5"})
    assert price_group(group=team, multiplier=Decimal("0.5"), actor=charlie) is None
    price_group(group=guests, multiplier=Decimal(2), actor=charlie)
    terms = Terms("flat", flat_ucr=1_000_000)
    shares = {team.pk: Decimal("0.5"), guests.pk: Decimal(2)}
    assert read_draft()[1] == PriceDraft(300_000, {offered_model.pk: terms}, shares)
    assert AuditLine.objects.order_by("-pk")[0].before == {"group Guests": ""}


def test_the_note_that_everybody_reads_names_no_group(charlie: User) -> None:
    made = price_group(group=make_group("Late payers"), multiplier=Decimal(2), actor=charlie)
    assert made is not None
    assert made.note == "Share of a group changed."


def test_a_deleted_group_is_not_in_the_next_version(charlie: User) -> None:
    team = make_group("Team")
    made = make_list(flat="0.2", groups={team: "0.5"})
    team.delete()
    number, draft = read_draft()
    assert (number, draft.groups) == (made.pk, {})
    publish_prices(draft=replace(draft, flat_ucr=1), based_on=number, actor=charlie)
    assert [price.group_name for price in GroupPrice.objects.all()] == ["Team"]
    assert not ModelPrice.objects.exists()
