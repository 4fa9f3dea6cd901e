"""Everything that changes prices: each change is the next version of the whole list.

Versions are made one after the other (the table is locked for writers), so that of two
administrators at once the second is told, and nothing of the first one's is lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel, GroupPrice, ModelPrice, PriceList
from webapp.catalog.price_selectors import terms_of_row
from webapp.catalog.pricing import WHOLE_PRICE, Terms, plain, price_before_any_list_ucr
from webapp.core import audit
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.texts import check_length
from webapp.core.units import UCR_PER_CREDIT, format_credits

MAX_PRICE_UCR = 1_000_000 * UCR_PER_CREDIT
# 16 megapixels and 150 steps at this factor are 84,000 credits.
MAX_FACTOR = Decimal("0.001")
FACTOR_PLACES = 12
MAX_MULTIPLIER = Decimal(100)
MULTIPLIER_PLACES = 4
MAX_NOTE_LENGTH = 200
CHANGED_MEANWHILE = gettext_lazy(
    "Someone else changed the prices in the meantime. Check the new list and start again."
)
NOTHING_CHANGES = gettext_lazy("Nothing changes: the list in force says the same.")
LOCK_SQL = "LOCK TABLE catalog_pricelist IN SHARE ROW EXCLUSIVE MODE"


@dataclass(frozen=True, slots=True)
class PriceDraft:
    """A whole list: a flat price, models that cost otherwise (model id -> terms), and the share
    that each group pays (group id -> multiplier)."""

    flat_ucr: int
    models: Mapping[int, Terms] = field(default_factory=dict)
    groups: Mapping[int, Decimal] = field(default_factory=dict)

    def terms_of(self, model_id: int) -> Terms:
        """The model's own terms, or the flat price."""
        flat = Terms(ModelPrice.Mode.FLAT, flat_ucr=self.flat_ucr)
        return self.models.get(model_id, flat)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the list that will be another: `what` names it, None: it has no line there."""

    what: str
    model: DiffusionModel | None
    group: UserGroup | None
    before: Any
    after: Any


def read_draft() -> tuple[int | None, PriceDraft]:
    """The version in force (None: there is none yet) and all it says.

    Before there is one, groups pay what everybody pays.
    """
    newest = PriceList.objects.prefetch_related("models", "groups").first()
    if newest is None:
        everybody = UserGroup.objects.values_list("pk", flat=True)
        return None, PriceDraft(
            price_before_any_list_ucr(), groups=dict.fromkeys(everybody, WHOLE_PRICE)
        )
    models = {price.model_id: terms_of_row(price) for price in newest.models.all()}
    shares = {price.group_id: price.multiplier for price in newest.groups.all() if price.group_id}
    return newest.pk, PriceDraft(newest.flat_ucr, models, shares)


@transaction.atomic
def publish_prices(
    *, draft: PriceDraft, based_on: int | None, actor: User, note: str = ""
) -> PriceList:
    """The next version, in force at once for what is submitted from now on.

    `based_on` is the version that the draft was made from. Raises Conflict if another is in
    force by now or nothing changes, InvalidInput for a price that will not do or a group that
    was given none.
    """
    _check_draft(draft, note=note)
    _lock()
    number, in_force = read_draft()
    if number != based_on:
        raise Conflict(CHANGED_MEANWHILE)
    # The first list may say what the defaults say: from then on the settings change nothing.
    if number is not None and draft == in_force:
        raise Conflict(NOTHING_CHANGES)
    return _publish(in_force, draft, actor=actor, note=note.strip())


@transaction.atomic
def price_group(*, group: UserGroup, multiplier: Decimal, actor: User) -> PriceList | None:
    """The next version, with this share for the group; None if it pays that already (before
    there is a list, all of the price).

    Raises InvalidInput for a share that will not do.
    """
    _check_multiplier(group.pk, multiplier)
    _lock()
    _number, in_force = read_draft()
    if in_force.groups.get(group.pk) == multiplier:
        return None
    draft = replace(in_force, groups={**in_force.groups, group.pk: multiplier})
    # Everybody reads the note; what a group of others is called is not theirs to know.
    return _write(in_force, draft, actor=actor, note=_("Share of a group changed."))


def list_changes(*, before: PriceDraft, after: PriceDraft) -> list[Change]:
    """What the second list says otherwise than the first, line by line."""
    return list(_changes(before, after))


def _changes(before: PriceDraft, after: PriceDraft) -> Iterator[Change]:
    if before.flat_ucr != after.flat_ucr:
        yield Change("flat", None, None, before.flat_ucr, after.flat_ucr)
    for model in DiffusionModel.objects.filter(pk__in={*before.models, *after.models}):
        old, new = before.models.get(model.pk), after.models.get(model.pk)
        if old != new:
            yield Change(f"model {model.slug}", model, None, old, new)
    for group in UserGroup.objects.filter(pk__in={*before.groups, *after.groups}):
        share, other = before.groups.get(group.pk), after.groups.get(group.pk)
        if share != other:
            yield Change(f"group {group.name}", None, group, share, other)


def _publish(in_force: PriceDraft, draft: PriceDraft, *, actor: User, note: str) -> PriceList:
    groups = {group.pk: group for group in UserGroup.objects.all()}
    for group in groups.values():
        if group.pk not in draft.groups:
            sentence = _("Enter the share of the price that the group “%(group)s” pays.")
            raise InvalidInput(sentence % {"group": group.name}, field=f"group_{group.pk}")
    known = set(DiffusionModel.objects.values_list("pk", flat=True))
    if not (set(draft.groups) <= set(groups) and set(draft.models) <= known):
        raise Conflict(_("A group or model on this form no longer exists. Open the form again."))
    return _write(in_force, draft, actor=actor, note=note)


def _write(in_force: PriceDraft, draft: PriceDraft, *, actor: User, note: str) -> PriceList:
    made = PriceList.objects.create(flat_ucr=draft.flat_ucr, note=note, created_by=actor)
    ModelPrice.objects.bulk_create(
        ModelPrice(
            price_list=made,
            model_id=model_id,
            mode=terms.mode,
            flat_ucr=terms.flat_ucr,
            factor=terms.factor,
            floor_ucr=terms.floor_ucr,
        )
        for model_id, terms in draft.models.items()
    )
    names = dict(UserGroup.objects.values_list("pk", "name"))
    GroupPrice.objects.bulk_create(
        GroupPrice(
            price_list=made, group_id=group_id, group_name=names[group_id], multiplier=multiplier
        )
        for group_id, multiplier in draft.groups.items()
    )
    changes = list_changes(before=in_force, after=draft)
    audit.record(
        actor=actor,
        action="prices.publish",
        subject=made,
        reason=note,
        before={change.what: _plain_terms(change.before) for change in changes},
        after={change.what: _plain_terms(change.after) for change in changes},
    )
    return made


def _plain_terms(value: int | Decimal | Terms | None) -> str:
    """As the audit log says it, the same in every language."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return format_credits(value)
    if value.factor is None:
        return format_credits(value.flat_ucr or 0)
    return f"metered {plain(value.factor)} >= {format_credits(value.floor_ucr or 0)}"


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SQL)


def _check_draft(draft: PriceDraft, *, note: str) -> None:
    _check_amount("flat", draft.flat_ucr)
    for model_id, terms in draft.models.items():
        if terms.is_metered:
            _check_factor(f"factor_{model_id}", terms.factor)
            _check_amount(f"floor_{model_id}", terms.floor_ucr)
        else:
            _check_amount(f"flat_{model_id}", terms.flat_ucr)
    for group_id, multiplier in draft.groups.items():
        _check_multiplier(group_id, multiplier)
    check_length(note.strip(), "note", most=MAX_NOTE_LENGTH)


def _check_amount(name: str, amount_ucr: int | None) -> None:
    if amount_ucr is None or not 0 <= amount_ucr <= MAX_PRICE_UCR:
        sentence = _("A price must be from 0 to %(most)s credits.")
        raise InvalidInput(sentence % {"most": format_credits(MAX_PRICE_UCR)}, field=name)


def _check_factor(name: str, factor: Decimal | None) -> None:
    if factor is None or _places(factor) > FACTOR_PLACES or not 0 < factor <= MAX_FACTOR:
        sentence = _(
            "A factor must be more than 0 and at most %(most)s, with at most %(places)d decimals."
        )
        facts = {"most": plain(MAX_FACTOR), "places": FACTOR_PLACES}
        raise InvalidInput(sentence % facts, field=name)


def _check_multiplier(group_id: int, multiplier: Decimal) -> None:
    if _places(multiplier) > MULTIPLIER_PLACES or not 0 <= multiplier <= MAX_MULTIPLIER:
        sentence = _("A share must be from 0 to %(most)s, with at most %(places)d decimals.")
        facts = {"most": plain(MAX_MULTIPLIER), "places": MULTIPLIER_PLACES}
        raise InvalidInput(sentence % facts, field=f"group_{group_id}")


def _places(number: Decimal) -> int:
    """How many decimals it has; more than any limit for what is no number at all."""
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else MULTIPLIER_PLACES + FACTOR_PLACES
