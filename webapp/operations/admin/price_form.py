"""The form of the whole price list, and what it would change."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import UserGroup
from webapp.catalog.models import DiffusionModel, ModelPrice, PriceList
from webapp.catalog.price_services import (
    FACTOR_PLACES,
    MAX_MULTIPLIER,
    MAX_NOTE_LENGTH,
    MULTIPLIER_PLACES,
    Change,
    PriceDraft,
    list_changes,
)
from webapp.catalog.pricing import WHOLE_PRICE, Terms, plain
from webapp.core.numbers import PlainNumberField, WholeNumberField
from webapp.core.units import CREDIT_PLACES, format_credits, to_ucr

SAME = "same"
MODES = [(SAME, _("as any other model")), *ModelPrice.Mode.choices]
MAX_CREDITS = 1_000_000
WHAT_A_SHARE_IS = _("1 is the full price, 0.5 half of it, 0 nothing.")


class CreditsField(PlainNumberField):
    """An amount of credits, from 0 to a million, exact to the micro-credit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            min_value=0, max_value=MAX_CREDITS, decimal_places=CREDIT_PLACES, **options
        )


class ShareField(PlainNumberField):
    """The share of the price that a group pays."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            min_value=0,
            max_value=int(MAX_MULTIPLIER),
            decimal_places=MULTIPLIER_PLACES,
            **options,
        )


def tell_in_force(price_list: PriceList) -> str:
    """The sentence for whoever made this version."""
    return gettext("Version %(number)d of the price list is in force.") % {"number": price_list.pk}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model and its four fields of the form: way of pricing, flat price, factor and floor."""

    model: DiffusionModel
    mode: BoundField
    flat: BoundField
    factor: BoundField
    floor: BoundField


@dataclass(frozen=True, slots=True)
class Preview:
    """One line of what would change: old and new in words, and an image for example."""

    what: str
    before: str
    after: str
    example: str = ""
    example_before_ucr: int | None = None
    example_after_ucr: int | None = None


class PriceForm(forms.Form):
    """The whole list: a flat price, each model's own, each group's share.

    Of a model only the fields of the chosen way are read. `based_on` is the version that the form
    was opened with, `seen` the list whose changes were looked at.
    """

    what_a_share_is = WHAT_A_SHARE_IS
    flat = CreditsField(label=_("One image"))
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=MAX_NOTE_LENGTH,
        help_text=_("Users see it beside the version."),
    )
    based_on = WholeNumberField(required=False, widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self, data: Mapping[str, Any] | None, *, number: int | None, draft: PriceDraft
    ) -> None:
        initial = {"flat": format_credits(draft.flat_ucr), "based_on": number}
        super().__init__(data, initial=initial)
        self.in_force = draft
        self.models = list(DiffusionModel.objects.order_by("-enabled", "-is_default", "name"))
        self.groups = list(UserGroup.objects.all())
        for model in self.models:
            self._add_model(model, draft)
        for group in self.groups:
            share = draft.groups.get(group.pk)
            self.fields[f"group_{group.pk}"] = ShareField(
                label=group.name,
                initial=None if share is None else plain(share),
                error_messages={
                    "required": _("Enter the share of the price that this group pays.")
                },
            )

    @property
    def model_rows(self) -> list[ModelRow]:
        """The models, those on offer first, with their fields."""
        names = ("mode", "flat", "factor", "floor")
        return [
            ModelRow(model, *(self[f"{name}_{model.pk}"] for name in names))
            for model in self.models
        ]

    @property
    def group_fields(self) -> list[BoundField]:
        """One field for each group: its share of the price."""
        return [self[f"group_{group.pk}"] for group in self.groups]

    def clean(self) -> dict[str, Any]:
        """The cleaned fields; what the chosen way of a model needs must be there."""
        for model in self.models:
            mode = self.cleaned_data.get(f"mode_{model.pk}")
            needed = {"flat": ["flat"], "metered": ["factor", "floor"]}.get(str(mode), [])
            for name in needed:
                key = f"{name}_{model.pk}"
                if self.cleaned_data.get(key) is None and key not in self.errors:
                    self.add_error(key, _("This way of pricing needs a number here."))
            for name in {"flat", "factor", "floor"} - set(needed):
                self.errors.pop(f"{name}_{model.pk}", None)
        return self.cleaned_data

    def draft(self) -> PriceDraft:
        """The list that a valid form asks for."""
        fields = self.cleaned_data
        models = {model.pk: self._terms(model.pk) for model in self.models}
        return PriceDraft(
            to_ucr(fields["flat"]),
            {pk: terms for pk, terms in models.items() if terms is not None},
            {group.pk: fields[f"group_{group.pk}"] for group in self.groups},
        )

    def show_again(self, *, seen: str) -> None:
        """Lets the page carry `seen`, so that what is saved is what was looked at."""
        self.data = {**self.data, "seen": seen}

    def _terms(self, pk: int) -> Terms | None:
        fields = self.cleaned_data
        mode = fields[f"mode_{pk}"]
        if mode == ModelPrice.Mode.FLAT:
            return Terms(mode, flat_ucr=to_ucr(fields[f"flat_{pk}"]))
        if mode == ModelPrice.Mode.METERED:
            floor_ucr = to_ucr(fields[f"floor_{pk}"])
            return Terms(mode, factor=fields[f"factor_{pk}"], floor_ucr=floor_ucr)
        return None

    def _add_model(self, model: DiffusionModel, draft: PriceDraft) -> None:
        terms = draft.models.get(model.pk)
        factor = (terms and terms.factor) or model.architecture.price_factor
        floor_ucr = draft.flat_ucr if terms is None or terms.floor_ucr is None else terms.floor_ucr
        flat_ucr = terms.flat_ucr if terms else None
        self.fields |= {
            f"mode_{model.pk}": forms.ChoiceField(
                label=_("Price"), choices=MODES, initial=terms.mode if terms else SAME
            ),
            f"flat_{model.pk}": CreditsField(
                label=_("One image"),
                required=False,
                initial=None if flat_ucr is None else format_credits(flat_ucr),
            ),
            f"factor_{model.pk}": PlainNumberField(
                label=_("Factor"),
                required=False,
                decimal_places=FACTOR_PLACES,
                initial=None if factor is None else plain(factor),
            ),
            f"floor_{model.pk}": CreditsField(
                label=_("Minimum price"), required=False, initial=format_credits(floor_ucr)
            ),
        }


def digest(draft: PriceDraft) -> str:
    """Tells two lists apart: what was looked at from what is sent now."""
    normal = [
        (pk, terms.mode, terms.flat_ucr, terms.factor and plain(terms.factor), terms.floor_ucr)
        for pk, terms in sorted(draft.models.items())
    ]
    groups = [(pk, plain(share)) for pk, share in sorted(draft.groups.items())]
    return hashlib.sha256(repr((draft.flat_ucr, normal, groups)).encode()).hexdigest()


def list_previews(*, before: PriceDraft, after: PriceDraft) -> list[Preview]:
    """What would change, line by line, each with an image for example."""
    offered = list(DiffusionModel.objects.filter(enabled=True))
    return [
        _preview(change, before, after, _example_model(change, after, offered))
        for change in list_changes(before=before, after=after)
    ]


def _example_model(
    change: Change, after: PriceDraft, offered: list[DiffusionModel]
) -> DiffusionModel | None:
    """The model itself; for the flat price one that costs it; for a group the first on offer."""
    if change.model is not None:
        return change.model
    fitting = (one for one in offered if change.group or one.pk not in after.models)
    return next(fitting, None)


def _preview(
    change: Change, before: PriceDraft, after: PriceDraft, model: DiffusionModel | None
) -> Preview:
    old_share, new_share = (
        (change.before, change.after) if change.group else (WHOLE_PRICE, WHOLE_PRICE)
    )
    if change.group:
        what = str(_("Group %(name)s")) % {"name": change.group.name}
    else:
        what = change.model.name if change.model else str(_("Any other model"))
    absent = str(_("none yet")) if change.group else str(_("as any other model"))
    preview = Preview(what, _in_words(change.before, absent), _in_words(change.after, absent))
    if model is None:
        return preview
    return replace(
        preview,
        example=str(_("%(model)s, %(width)d × %(height)d, %(steps)d steps"))
        % {
            "model": model.name,
            "width": model.width_px,
            "height": model.height_px,
            "steps": model.steps,
        },
        example_before_ucr=_example(before, model, old_share),
        example_after_ucr=_example(after, model, new_share),
    )


def _example(draft: PriceDraft, model: DiffusionModel, share: Decimal | None) -> int | None:
    if share is None:
        return None
    return draft.terms_of(model.pk).price_ucr(
        width_px=model.width_px, height_px=model.height_px, steps=model.steps, multiplier=share
    )


def _in_words(value: int | Decimal | Terms | None, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, Decimal):
        return f"× {plain(value)}"
    if isinstance(value, int):
        return format_credits(value)
    if value.factor is None:
        return format_credits(value.flat_ucr or 0)
    return str(_("by size and steps, factor %(factor)s, at least %(floor)s")) % {
        "factor": plain(value.factor),
        "floor": format_credits(value.floor_ucr or 0),
    }
