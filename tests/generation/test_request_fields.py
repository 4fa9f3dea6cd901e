"""The table of a request's fields, and those who read it."""

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from tests.people import claim, make_model, make_spec, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.generation.models import Generation
from webapp.generation.request import spec as table
from webapp.generation.request.checks import parse_spec
from webapp.generation.request.spec import (
    FIELDS,
    IN_MORE,
    ROWS,
    form_values,
    noted_values,
    spec_of,
    stored_values,
)
from worker.engine.request import ImageRequest
from worker.engine_requests import image_request, parameters_text

REPAINTED: dict[str, Any] = {
    "count": 4,
    "seed": None,
    "exact": True,
    "style": "anime",
    "mode": "inpaint",
    "start_id": UUID(int=1),
    "mask_id": UUID(int=2),
    "parent_id": UUID(int=3),
    "strength": 0.7,
}
# What the engine gets from elsewhere: the lease, the model's row, the files.
NOT_OF_THE_FORM = {"request_id", "owner_id", "model", "start", "mask", "loras"}


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({}, "4d3a93b9774fa9b7467316693afb6f02f9971ffd1bcece963f2cc919858e83c6"),
        (REPAINTED, "0f3bfb9e417bbbb5a50655e8a39c8da50b97543b488cb0b1f3b84b692100ffc5"),
    ],
)
def test_a_form_that_is_sent_again_after_an_upgrade_has_the_digest_that_it_had(
    changes: dict[str, Any], digest: str
) -> None:
    assert make_spec(**changes).digest(model_slug="tiny") == digest


def test_no_two_fields_have_one_name_in_forms() -> None:
    names = [one.name for one in FIELDS]
    assert len(names) == len(set(names))


def test_a_field_without_a_column_has_a_default_so_that_older_requests_have_it_too() -> None:
    assert all(ROWS[name].has_default for name in IN_MORE)


def test_what_the_engine_is_asked_for_stands_in_the_table() -> None:
    asked = {one.name for one in fields(ImageRequest)} - NOT_OF_THE_FORM
    assert asked <= set(ROWS)


def test_every_template_that_the_table_names_is_there() -> None:
    controls = [f"generation/controls/{one.control.template}.html" for one in FIELDS if one.control]
    lines = [one.line.template for one in FIELDS if one.line and one.line.template]
    folder = Path(settings.BASE_DIR) / "templates"
    assert all((folder / name).is_file() for name in controls + lines)


@pytest.mark.parametrize("changes", [{}, {"guidance_scale": 7.1234567}, {"style": "anime"}])
def test_a_request_that_is_asked_for_again_is_the_same(
    alice: User, offered_model: DiffusionModel, changes: dict[str, Any]
) -> None:
    made = submit(alice, offered_model, **changes)
    kept = spec_of(Generation.objects.get(pk=made.pk))
    assert kept == make_spec(**changes)
    assert parse_spec(form_values(kept), model=offered_model) == kept


def test_a_field_without_a_column_is_kept_beside_the_others_if_it_is_asked_for(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "IN_MORE", table.IN_MORE | {"style"})
    plain, styled = make_spec(), make_spec(style="anime")
    assert stored_values(plain)["more"] == {}
    assert stored_values(styled)["more"] == {"style": "anime"}
    assert plain.digest(model_slug="tiny") != styled.digest(model_slug="tiny")
    made = submit(alice, offered_model, style="anime")
    assert Generation.objects.get().more == {"style": "anime"}
    assert spec_of(made).style == "anime"


def test_clip_skip_is_kept_said_and_asked_for_again_if_the_model_has_it(
    alice: User, offered_model: DiffusionModel
) -> None:
    made = submit(alice, offered_model, clip_skip=2)
    assert Generation.objects.get().more == {"clip_skip": 2}
    kept = spec_of(made)
    assert form_values(kept)["clip_skip"] == "2"
    assert noted_values(kept)["Clip skip"] == "2"
    assert noted_values(make_spec())["Clip skip"] == ""
    flux = make_model("flux", family="flux", sampler="flow_euler", uses_negative_prompt=False)
    with pytest.raises(InvalidInput, match="CLIP skip must be from 1 to 1"):
        submit(alice, flux, sampler="flow_euler", negative_prompt="", clip_skip=2)


def test_a_field_that_nobody_asked_for_is_not_in_the_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "IN_MORE", frozenset({"exact"}))
    before = {**asdict(make_spec())}
    del before["exact"]
    body = json.dumps(["tiny", before], sort_keys=True)
    without = hashlib.sha256(body.encode()).hexdigest()
    assert make_spec().digest(model_slug="tiny") == without
    assert make_spec(exact=True).digest(model_slug="tiny") != without


def test_what_a_row_keeps_of_a_field_that_is_gone_is_passed_over(
    alice: User, offered_model: DiffusionModel
) -> None:
    made = submit(alice, offered_model)
    made.more = {"fog": 3}
    assert spec_of(made) == make_spec()


def test_the_engine_is_asked_for_what_the_table_says(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, exact=True, style="anime")
    claimed = claim(offered_model)
    request = image_request(claimed)
    for name in {one.name for one in fields(ImageRequest)} - NOT_OF_THE_FORM - {"strength"}:
        assert getattr(request, name) == getattr(claimed.asked, name), name
    assert request.exact
    assert "anime" in request.prompt


def test_the_text_in_the_file_says_what_it_said(alice: User, offered_model: DiffusionModel) -> None:
    submit(alice, offered_model, style="anime")
    claimed = claim(offered_model)
    last_line = parameters_text(claimed).split("\n")[-1]
    assert last_line.startswith(
        "Steps: 4, Sampler: DDIM, CFG scale: 5, Seed: 7, Size: 64x64, Model: Tiny, "
        "Style: anime, Version: Darkroom "
    )
