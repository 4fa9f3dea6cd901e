"""The controls of the settings below "Advanced": one for each field of the table that has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.catalog.models import DiffusionModel
from webapp.generation.request.fields import Choice, Control, Number, RequestField
from webapp.generation.request.spec import FIELDS


@dataclass(frozen=True, slots=True)
class ShownControl:
    """One of them as it stands: its `value` as it is typed, and what the model allows, as text.
    Without a model the limits are those of any, and there is nothing to choose."""

    field: RequestField
    template: str
    is_wide: bool
    value: str
    step: str
    least: str = ""
    most: str = ""
    choices: tuple[tuple[str, str], ...] = ()


def show_controls(values: Mapping[str, str], *, model: DiffusionModel | None) -> list[ShownControl]:
    """Each in its place."""
    placed = sorted(_controls(), key=lambda pair: pair[1].place)
    return [
        ShownControl(
            field=one,
            template=f"generation/controls/{control.template}.html",
            is_wide=control.is_wide,
            value=values.get(one.name, ""),
            step=f"{control.step:g}",
            **_allowed(one, model),
        )
        for one, control in placed
    ]


def control_facts(model: DiffusionModel) -> dict[str, Any]:
    """For the page's script, which changes them with the model: `limits`, name -> (least, most),
    and `choices`, name -> (slug, name) of each."""
    numbers = [one for one, _control in _controls() if isinstance(one, Number)]
    chosen = [one for one, _control in _controls() if isinstance(one, Choice)]
    return {
        "limits": {one.name: one.limits(model) for one in numbers},
        "choices": {one.name: one.offered(model) for one in chosen},
    }


def _controls() -> list[tuple[RequestField, Control]]:
    return [(one, one.control) for one in FIELDS if one.control]


def _allowed(one: RequestField, model: DiffusionModel | None) -> dict[str, Any]:
    if isinstance(one, Number):
        least, most = one.limits(model or DiffusionModel())
        return {"least": one.write(least), "most": one.write(most)}
    if isinstance(one, Choice) and model:
        return {"choices": tuple(one.offered(model))}
    return {}
