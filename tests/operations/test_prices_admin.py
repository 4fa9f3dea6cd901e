"""The page of prices, the groups and who may draw with what, in the admin site."""

from typing import Any

import pytest
from django.test import Client

from tests.people import make_model, make_user
from tests.prices import make_group, make_list
from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel, PriceList
from webapp.catalog.price_services import PriceDraft, read_draft
from webapp.catalog.pricing import Terms
from webapp.core.models import AuditLine

PRICES = "/admin/catalog/pricelist/next/"
GROUPS = "/admin/accounts/usergroup/"


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    return client


def fields(admin: Client, **changes: str) -> dict[str, str]:
    """What the page sends when some fields are changed; an empty hidden field is sent empty."""
    form = admin.get(PRICES).context["form"]
    shown = {field.html_name: field.value() for field in form}
    return {**{name: str(value or "") for name, value in shown.items()}, **changes}


def send(admin: Client, sent: dict[str, str]) -> Any:
    """Looks at what changes, then saves what was looked at."""
    looked = admin.post(PRICES, {**sent, "look": "1"})
    if looked.context["form"].errors:
        return looked
    seen = looked.context["form"]["seen"].value()
    return admin.post(PRICES, {**sent, "seen": seen, "save": "1"})


def test_a_new_price_is_looked_at_and_then_in_force(
    admin: Client, charlie: User, offered_model: DiffusionModel
) -> None:
    sent = fields(admin, flat="0.3", note="spring")
    looked = admin.post(PRICES, {**sent, "look": "1"})
    page = " ".join(looked.content.decode().split())
    assert "Any other model" in page
    assert "0.20 → 0.30" in page
    assert "Tiny, 64 × 64, 4 steps" in page
    assert not PriceList.objects.exists(), "nothing is saved by looking"
    answer = send(admin, sent)
    assert answer["Location"] == "/admin/catalog/pricelist/"
    made = PriceList.objects.get()
    assert (made.flat_ucr, made.note, made.created_by) == (300_000, "spring", charlie)
    line = AuditLine.objects.get(action="prices.publish")
    assert (line.before, line.after) == ({"flat": "0.20"}, {"flat": "0.30"})


def test_models_and_groups_are_priced_on_the_same_page(
    admin: Client, offered_model: DiffusionModel
) -> None:
    sdxl, team = make_model("sdxl", family="sdxl"), make_group("Team")
    tiny = offered_model
    form = fields(admin)
    assert form[f"factor_{sdxl.pk}"] == "0.0000054"
    assert form[f"factor_{tiny.pk}"] == "0.00000216"
    assert form[f"group_{team.pk}"] == "1"
    changes = {
        f"mode_{tiny.pk}": "flat",
        f"flat_{tiny.pk}": "0.05",
        f"mode_{sdxl.pk}": "metered",
        f"floor_{sdxl.pk}": "0.5",
        f"group_{team.pk}": "0.25",
    }
    assert send(admin, {**form, **changes}).status_code == 302
    terms = read_draft()[1]
    assert terms.models[tiny.pk] == Terms("flat", flat_ucr=50_000)
    assert terms.models[sdxl.pk].floor_ucr == 500_000
    assert str(terms.groups[team.pk]) == "0.2500"
    back = {**fields(admin), f"mode_{tiny.pk}": "same", f"mode_{sdxl.pk}": "same"}
    assert send(admin, back).status_code == 302
    assert read_draft()[1].models == {}


def test_a_group_without_a_share_is_shown_as_such_with_an_image_for_example(
    admin: Client, offered_model: DiffusionModel
) -> None:
    make_list(flat="0.2", flats={offered_model: "0.4"})
    guests = make_group("Guests")
    assert fields(admin)[f"group_{guests.pk}"] == ""
    sent = fields(admin, **{f"group_{guests.pk}": "0.5"})
    page = " ".join(admin.post(PRICES, {**sent, "look": "1"}).content.decode().split())
    assert "none yet" in page
    assert "– → 0.20" in page


def test_what_was_not_looked_at_is_not_saved(admin: Client, offered_model: DiffusionModel) -> None:
    sent = fields(admin, flat="0.3")
    looked = admin.post(PRICES, {**sent, "look": "1"})
    seen = looked.context["form"]["seen"].value()
    other = admin.post(PRICES, {**sent, "flat": "30", "seen": seen, "save": "1"})
    assert "0.20 → 30.00" in " ".join(other.content.decode().split())
    assert not PriceList.objects.exists()


def test_of_two_administrators_the_second_is_told(
    admin: Client, offered_model: DiffusionModel
) -> None:
    sent = fields(admin, flat="0.3")
    seen = admin.post(PRICES, {**sent, "look": "1"}).context["form"]["seen"].value()
    make_list(flat="0.4")
    for step in ({"look": "1"}, {"seen": seen, "save": "1"}):
        answer = admin.post(PRICES, {**sent, **step})
        assert "Someone else changed the prices in the meantime" in answer.content.decode()
    assert read_draft()[1] == PriceDraft(400_000)


def test_the_first_list_may_say_what_the_settings_say(admin: Client, db: None) -> None:
    sent = fields(admin)
    looked = admin.post(PRICES, {**sent, "look": "1"})
    assert "No price changes." in looked.content.decode()
    seen = looked.context["form"]["seen"].value()
    saved = admin.post(PRICES, {**sent, "seen": seen, "save": "1"})
    assert saved.status_code == 302
    assert read_draft()[0] is not None


def test_a_list_that_says_the_same_is_not_saved(admin: Client, db: None) -> None:
    make_list(flat="0.2")
    answer = admin.post(PRICES, {**fields(admin), "save": "1"})
    assert "Nothing changes: the list in force says the same." in answer.content.decode()
    assert PriceList.objects.count() == 1


BAD_FIELDS = [
    ("flat", "", "This field is required."),
    ("flat", "-0.1", "Enter a number from 0 to 1000000."),
    ("flat", "much", "“much” is not a number. Write it like 12.5."),
    ("flat", "NaN", "“NaN” is not a number. Write it like 12.5."),
    ("flat", "1000000.01", "Enter a number from 0 to 1000000."),
    ("flat", "0.0000001", "Enter at most 6 decimals."),
    ("note", "x" * 201, "at most 200 characters"),
    ("mode_{model}", "magic", "not one of the available choices"),
    ("flat_{model}", "", "This way of pricing needs a number here."),
    ("flat_{model}", "-1", "Enter a number from 0 to 1000000."),
    ("group_{group}", "", "Enter the share of the price that this group pays."),
    ("group_{group}", "-1", "Enter a number from 0 to 100."),
    ("group_{group}", "100.5", "Enter a number from 0 to 100."),
    ("group_{group}", "0.00001", "Enter at most 4 decimals."),
    ("group_{group}", "half", "“half” is not a number. Write it like 12.5."),
]


@pytest.mark.parametrize(("field", "value", "sentence"), BAD_FIELDS)
def test_what_will_not_do_is_answered_with_a_sentence_and_changes_nothing(
    admin: Client, offered_model: DiffusionModel, field: str, value: str, sentence: str
) -> None:
    names = {"model": offered_model.pk, "group": make_group("Team").pk}
    sent = fields(admin, **{f"mode_{offered_model.pk}": "flat", f"flat_{offered_model.pk}": "1"})
    answer = send(admin, {**sent, field.format(**names): value})
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not PriceList.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("factor", "", "This way of pricing needs a number here."),
        ("factor", "0", "more than 0 and at most 0.001"),
        ("factor", "0.1", "more than 0 and at most 0.001"),
        ("factor", "0.0000000000001", "Enter at most 12 decimals."),
        ("floor", "", "This way of pricing needs a number here."),
        ("floor", "-1", "Enter a number from 0 to 1000000."),
    ],
)
def test_a_metered_price_needs_a_factor_and_a_floor(
    admin: Client, offered_model: DiffusionModel, field: str, value: str, sentence: str
) -> None:
    pk = offered_model.pk
    sent = fields(admin, **{f"mode_{pk}": "metered", f"{field}_{pk}": value})
    answer = send(admin, sent)
    assert sentence in answer.content.decode()
    assert not PriceList.objects.exists()


def test_fields_of_another_way_are_not_read(admin: Client, offered_model: DiffusionModel) -> None:
    pk = offered_model.pk
    sent = fields(admin, flat="1", **{f"flat_{pk}": "much", f"factor_{pk}": "-1"})
    assert send(admin, sent).status_code == 302
    assert read_draft()[1] == PriceDraft(1_000_000)


def test_versions_are_read_and_never_written(
    admin: Client, charlie: User, offered_model: DiffusionModel
) -> None:
    make_list(
        flat="0.2", metered={offered_model: ("0.00000216", "0.1")}, groups={make_group("Team"): "2"}
    )
    made = PriceList.objects.get()
    assert "0.20" in admin.get("/admin/catalog/pricelist/").content.decode()
    page = admin.get(f"/admin/catalog/pricelist/{made.pk}/change/").content.decode()
    assert "0.00000216" in page
    for form in ("add", f"{made.pk}/change", f"{made.pk}/delete"):
        answer = admin.post(f"/admin/catalog/pricelist/{form}/", {"flat_ucr": "1", "post": "yes"})
        assert answer.status_code == 403
    made.refresh_from_db()
    assert made.flat_ucr == 200_000


def test_staff_without_the_right_change_no_price(client: Client, db: None) -> None:
    client.force_login(make_user("dora", is_staff=True))
    assert client.get(PRICES).status_code == 403
    assert client.post(PRICES, {"flat": "0"}).status_code == 403


def group_form(**changes: str) -> dict[str, str]:
    form = {"name": "Team", "allowance": "none", "multiplier": "1"}
    return {
        **form,
        "allowance_credits": "",
        "daily_spend_credits": "",
        "images_at_once": "",
        **changes,
    }


def test_a_group_is_made_with_its_amounts_in_credits_and_its_share(
    admin: Client, charlie: User
) -> None:
    form = group_form(
        allowance="fill",
        allowance_credits="12.5",
        daily_spend_credits="3",
        images_at_once="4",
        multiplier="0.5",
    )
    assert admin.post(f"{GROUPS}add/", form).status_code == 302
    team = UserGroup.objects.get()
    assert (team.allowance, team.allowance_ucr, team.daily_spend_ucr, team.images_at_once) == (
        "fill",
        12_500_000,
        3_000_000,
        4,
    )
    assert str(read_draft()[1].groups[team.pk]) == "0.5000"
    create, publish = AuditLine.objects.order_by("pk")
    assert (create.action, create.actor_id, create.before) == ("group.create", charlie.pk, {})
    assert create.after["daily_spend"] == "3.00"
    assert publish.action == "prices.publish"
    page = admin.get(f"{GROUPS}{team.pk}/change/").content.decode()
    for shown in ('value="12.50"', 'value="3.00"', 'value="0.5"'):
        assert shown in page


def test_another_share_is_the_next_version_and_the_same_share_is_none(admin: Client) -> None:
    team = make_group("Team")
    make_list(flat="0.2", groups={team: "0.5"})
    change = f"{GROUPS}{team.pk}/change/"
    admin.post(change, group_form(multiplier="0.5", name="The team"))
    assert PriceList.objects.count() == 1
    line = AuditLine.objects.get()
    assert (line.action, line.before, line.after) == (
        "group.change",
        {"name": "Team"},
        {"name": "The team"},
    )
    admin.post(change, group_form(multiplier="2", name="The team"))
    assert PriceList.objects.count() == 2
    assert read_draft()[1].groups[team.pk] == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"multiplier": ""}, "This field is required."),
        ({"multiplier": "101"}, "Enter a number from 0 to 100."),
        ({"multiplier": "0.12345"}, "Enter at most 4 decimals."),
        ({"allowance": "add"}, "Enter how many credits a month: more than 0."),
        ({"allowance": "add", "allowance_credits": "0"}, "more than 0"),
        ({"allowance": "add", "allowance_credits": "-3"}, "Enter a number from 0 to 1000000."),
        ({"allowance_credits": "3"}, "Choose how these credits are given, or clear this field."),
        ({"daily_spend_credits": "0.0000001"}, "Enter at most 6 decimals."),
        ({"daily_spend_credits": "1e3"}, "“1e3” is not a number. Write it like 12.5."),
        ({"daily_spend_credits": "1000001"}, "Enter a number from 0 to 1000000."),
        ({"images_at_once": "0"}, "greater than or equal to 1"),
        ({"images_at_once": "1.5"}, "Enter a whole number."),
    ],
)
def test_a_group_that_will_not_do_is_answered_with_a_sentence(
    admin: Client, changes: dict[str, str], sentence: str
) -> None:
    answer = admin.post(f"{GROUPS}add/", group_form(**changes))
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not UserGroup.objects.exists()
    assert not PriceList.objects.exists()
    assert not AuditLine.objects.exists()


def test_the_list_of_groups_links_to_their_members(admin: Client, alice: User, bob: User) -> None:
    alice.group = make_group("Team")
    alice.save()
    page = admin.get(GROUPS).content.decode()
    address = f"/admin/accounts/user/?group__id__exact={alice.group.pk}"
    assert f'<a class="underline" href="{address}">1</a>' in page
    members = admin.get(address).content.decode()
    assert alice.email in members
    assert bob.email not in members


def test_a_group_is_deleted_after_what_becomes_of_its_members_was_said(
    admin: Client, alice: User
) -> None:
    team = make_group("Team")
    alice.group = team
    alice.save()
    delete = f"{GROUPS}{team.pk}/delete/"
    assert "1 member will be in no group" in admin.get(delete).content.decode()
    admin.post(delete, {"post": "yes"})
    alice.refresh_from_db()
    assert alice.group is None
    line = AuditLine.objects.get()
    assert (line.action, line.before["name"]) == ("group.delete", "Team")


def test_the_only_group_of_a_model_is_not_deleted(
    admin: Client, offered_model: DiffusionModel
) -> None:
    team = make_group("Team")
    offered_model.groups.add(team)
    delete = f"{GROUPS}{team.pk}/delete/"
    for answer in (admin.get(delete), admin.post(delete, {"post": "yes"})):
        assert answer["Location"] == f"{GROUPS}{team.pk}/change/"
    assert "Only this group may use Tiny" in admin.get(GROUPS).content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [str(team.pk)], "post": "yes"}
    admin.post(GROUPS, chosen)
    assert UserGroup.objects.count() == 1
    offered_model.groups.add(make_group("Lab"))
    admin.post(delete, {"post": "yes"})
    assert [group.name for group in offered_model.groups.all()] == ["Lab"]


def model_form(admin: Client, model: DiffusionModel) -> dict[str, Any]:
    page = admin.get(f"/admin/catalog/diffusionmodel/{model.pk}/change/")
    initial = page.context["adminform"].form.initial
    return {name: value for name, value in initial.items() if value not in (None, False, [])}


def test_a_model_is_given_to_groups_and_the_log_says_so(
    admin: Client, offered_model: DiffusionModel
) -> None:
    team = make_group("Team")
    change = f"/admin/catalog/diffusionmodel/{offered_model.pk}/change/"
    form = {**model_form(admin, offered_model), "groups": [str(team.pk)], "max_steps": "20"}
    assert admin.post(change, form).status_code == 302
    assert list(offered_model.groups.all()) == [team]
    line = AuditLine.objects.get()
    assert (line.action, line.subject_name) == ("model.change", "Tiny")
    assert line.before == {"groups": [], "max_steps": 150}
    assert line.after == {"groups": ["Team"], "max_steps": 20}
    admin.post(change, form)
    assert AuditLine.objects.count() == 1, "what changed nothing leaves no line"


def test_the_default_that_is_taken_from_another_is_in_the_log_of_both(
    admin: Client, offered_model: DiffusionModel
) -> None:
    first = make_model("first", is_default=True)
    change = f"/admin/catalog/diffusionmodel/{offered_model.pk}/change/"
    admin.post(change, {**model_form(admin, offered_model), "is_default": "on"})
    lines = {line.subject_id: line.after for line in AuditLine.objects.all()}
    assert lines == {
        str(first.pk): {"is_default": False},
        str(offered_model.pk): {"is_default": True},
    }
