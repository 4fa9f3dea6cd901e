"""The built-in model is on offer from the first start, and an admin's choices stand."""

from pathlib import Path

import pytest

from tests.people import make_model, make_user
from webapp.catalog import services
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import disable_model, offer_starter_model
from webapp.core import audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the service looks for; the worker looks further when it loads."""
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def test_a_fresh_studio_draws_with_it_at_once(folder: Path) -> None:
    assert offer_starter_model(path=folder)
    model = DiffusionModel.objects.get()
    assert (model.slug, model.enabled, model.is_default) == ("starter", True, True)
    assert (model.width_px, model.height_px, model.path) == (128, 128, str(folder))
    model.full_clean()


def test_the_next_start_changes_nothing(folder: Path) -> None:
    offer_starter_model(path=folder)
    assert not offer_starter_model(path=folder)
    assert DiffusionModel.objects.count() == 1


def test_a_studio_that_moved_finds_it_again(folder: Path, tmp_path: Path) -> None:
    offer_starter_model(path=folder)
    DiffusionModel.objects.update(location="/where/it/was", problem="It is gone.")
    assert not offer_starter_model(path=folder)
    model = DiffusionModel.objects.get()
    assert (model.location, model.problem) == (str(folder), "")


def test_other_figures_of_a_later_version_reach_the_row_but_for_what_an_administrator_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_starter_model(path=folder)
    model = DiffusionModel.objects.get()
    DiffusionModel.objects.update(steps=33)
    audit.record(
        actor=make_user("charlie"),
        action="model.change",
        subject=model,
        before={"steps": model.steps},
        after={"steps": 33},
    )
    later = {**services.STARTER, "steps": 24, "guidance_scale": 4.5}
    monkeypatch.setattr(services, "STARTER", later)
    assert not offer_starter_model(path=folder)
    model = DiffusionModel.objects.get()
    assert (model.steps, model.guidance_scale, model.width_px) == (33, 4.5, 128)


def test_an_admin_who_switched_it_off_is_not_overruled(folder: Path) -> None:
    offer_starter_model(path=folder)
    disable_model(slug="starter")
    offer_starter_model(path=folder)
    assert not DiffusionModel.objects.get().enabled


def test_another_model_that_is_chosen_at_first_stays_so(folder: Path) -> None:
    make_model("large", is_default=True)
    offer_starter_model(path=folder)
    assert DiffusionModel.objects.get(is_default=True).slug == "large"
    assert DiffusionModel.objects.get(slug="starter").enabled


def test_a_checkout_without_its_weights_offers_nothing(tmp_path: Path) -> None:
    assert not offer_starter_model(path=tmp_path)
    assert not DiffusionModel.objects.exists()
