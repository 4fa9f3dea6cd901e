"""When a model is enabled, administrators read whether a worker has room for it."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from tests.operations.passwords import give_password
from tests.people import make_model, make_user
from tests.pipelines.fixtures import tiny_model_dir
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.queueing import heartbeat
from webapp.operations import model_memory as room
from webapp.operations.admin import catalog
from webapp.operations.model_memory import model_memory

__all__ = ["tiny_model_dir"]

EVERY = ["full", "beside", "fp8", "fp8_beside"]
FLUX: dict[str, Any] = {
    "usable": True,
    "needs": {
        "2": {"full": 33_700_000_000, "beside": 24_000_000_000, "fp8_beside": 15_300_000_000},
        "4": {"full": 67_400_000_000, "fp8": 35_000_000_000},
    },
}


def beat(name: str, model_room: int, *, manners: list[str] = EVERY, itemsize: int = 2) -> None:
    facts = {"model_room": model_room, "manners": manners, "itemsize": itemsize}
    heartbeat.beat_once(name=name, models=[], facts=facts)


@pytest.fixture
def model(db: None, tiny_model_dir: Path) -> DiffusionModel:
    made = make_model("tiny")
    DiffusionModel.objects.filter(pk=made.pk).update(location=str(tiny_model_dir), source="folder")
    return DiffusionModel.objects.get(pk=made.pk)


def test_the_least_that_a_worker_can_load_it_with_is_compared(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ask_worker_briefly", lambda *_, **__: FLUX)
    beat("small", 11_900_000_000)
    told = model_memory(model=model)
    assert told is not None
    assert told.sentence == (
        "It needs 15.3 GB of device memory, but the largest device of a worker has room for 11.9 "
        "GB: its images will fail."
    )
    beat("large", 24_800_000_000, manners=["full", "beside"])
    told = model_memory(model=model)
    assert told is not None
    assert told.sentence == (
        "It needs 24.0 GB of device memory; the largest device of a worker has room for 24.8 GB."
    )


def test_a_worker_on_a_cpu_takes_twice_the_bytes(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ask_worker_briefly", lambda *_, **__: FLUX)
    beat("cpu", 30_000_000_000, manners=["full", "fp8"], itemsize=4)
    told = model_memory(model=model)
    assert told is not None
    assert (told.needed, told.fits) == (35_000_000_000, False)


def test_nobody_guesses_without_a_worker_or_files(model: DiffusionModel, tmp_path: Path) -> None:
    assert model_memory(model=model) is None
    beat("one", 10**10)
    DiffusionModel.objects.filter(pk=model.pk).update(location=str(tmp_path / "nowhere"))
    assert model_memory(model=DiffusionModel.objects.get(pk=model.pk)) is None


def test_a_look_that_takes_too_long_is_given_up(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LIMIT_S", 0.001)
    beat("one", 10**10)
    assert model_memory(model=model) is None


def test_the_command_says_it_when_a_model_is_enabled(model: DiffusionModel) -> None:
    beat("tiny-card", 1_000_000)
    said = io.StringIO()
    call_command("models", "enable", model.slug, stdout=said)
    assert "is on offer" in said.getvalue()
    assert "has room for 0.01 GB: its images will fail." in said.getvalue()


def test_the_models_page_says_it(client: Client, charlie: User, model: DiffusionModel) -> None:
    client.force_login(charlie)
    give_password(client)
    page = f"/admin/catalog/diffusionmodel/{model.pk}/change/"
    assert "of device memory" not in client.get(page).content.decode()
    beat("card", 11_900_000_000)
    assert (
        "the largest device of a worker has room for 11.9 GB." in client.get(page).content.decode()
    )


@pytest.mark.django_db
def test_nothing_is_read_for_who_may_not_see_models(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(catalog, "model_memory", lambda **model: asked.append(model))
    client.force_login(make_user("helper", is_staff=True))
    model = make_model()
    assert client.get(f"/admin/catalog/diffusionmodel/{model.pk}/change/").status_code == 403
    assert asked == []
