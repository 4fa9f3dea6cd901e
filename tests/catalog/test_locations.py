"""Where a model lies is kept for every host, each of which has its own folders."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import LazySettings

from tests.people import make_model
from webapp.catalog.locations import kept_location, local_path
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import offer_starter_model

Manage = Callable[..., str]


def test_what_lies_below_the_models_folder_is_found_below_that_of_another_host(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.MODELS_ROOT = tmp_path / "here"
    kept = kept_location(tmp_path / "here" / "large" / "one.safetensors")
    assert kept == "large/one.safetensors"
    settings.MODELS_ROOT = tmp_path / "there"
    assert local_path(kept) == str(tmp_path / "there" / "large" / "one.safetensors")


def test_the_models_folder_and_folders_in_it_may_be_links(
    settings: LazySettings, tmp_path: Path
) -> None:
    disk, root = tmp_path / "disk", tmp_path / "models"
    (disk / "one").mkdir(parents=True)
    root.symlink_to(disk)
    settings.MODELS_ROOT = root
    assert kept_location(root / "one") == kept_location(disk / "one") == "one"
    (disk / "two").symlink_to(tmp_path / "elsewhere")
    assert kept_location(root / "two") == "two"


def test_what_lies_elsewhere_is_kept_as_it_is_and_must_be_there_on_every_host(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.MODELS_ROOT = tmp_path / "models"
    for path in (tmp_path / "other" / "one", tmp_path / "models", tmp_path / "models-old" / "one"):
        assert kept_location(path) == local_path(kept_location(path)) == str(path)


def test_the_starter_model_is_looked_for_where_this_host_has_darkroom(
    db: None, settings: LazySettings, tmp_path: Path
) -> None:
    for checkout in ("one", "two"):
        settings.BASE_DIR = tmp_path / checkout
        pipeline = tmp_path / checkout / "worker" / "starter" / "pipeline"
        pipeline.mkdir(parents=True)
        (pipeline / "model_index.json").write_text("{}")
        offer_starter_model(path=pipeline)
    model = DiffusionModel.objects.get()
    assert model.location == "builtin:starter"
    assert model.path == str(tmp_path / "two" / "worker" / "starter" / "pipeline")
    settings.BASE_DIR = tmp_path / "one"
    assert model.path == str(tmp_path / "one" / "worker" / "starter" / "pipeline")


def test_whoever_adds_a_model_from_elsewhere_is_told_which_hosts_can_draw_with_it(
    manage_models: Manage, tiny_model_dir: Path, tmp_path: Path
) -> None:
    said = manage_models("add", tiny_model_dir)
    assert f"only hosts that have it at {tiny_model_dir} can draw with it" in said
    assert f"{tiny_model_dir} (must be there on every host)" in manage_models("list")


def test_a_scan_on_the_host_that_has_a_model_keeps_it_for_every_host(
    manage_models: Manage, tiny_model_dir: Path, settings: LazySettings
) -> None:
    manage_models("add", tiny_model_dir)
    settings.MODELS_ROOT = tiny_model_dir.parent
    assert "tiny is kept as tiny from now on." in manage_models("scan")
    assert DiffusionModel.objects.get().location == "tiny"
    assert "kept as" not in manage_models("scan")


MIGRATION = importlib.import_module("migrations.catalog.0008_locations_of_every_host")


@pytest.mark.django_db
def test_an_upgrade_keeps_for_every_host_what_was_the_path_of_one(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.MODELS_ROOT = root = tmp_path / "new" / "models"
    (root / "moved").mkdir(parents=True)
    hub = {"source": "hub", "location": "owner/name"}
    make_model("starter", location="/srv/elsewhere/worker/starter/pipeline")
    make_model("below", location=str(root / "deep" / "below.safetensors"), source="file")
    make_model("moved", location="/gone/var/models/moved")
    make_model("lost", location="/gone/var/models/lost")
    make_model("apart", location="/mnt/apart")
    make_model("hub", installed_path=str(root / "hub"), **hub)
    make_model("not-yet", **hub)
    MIGRATION.rewrite(apps, None)
    kept = {model.slug: model.kept_at for model in DiffusionModel.objects.all()}
    assert kept == {
        "starter": "builtin:starter",
        "below": "deep/below.safetensors",
        "moved": "moved",
        "lost": "/gone/var/models/lost",
        "apart": "/mnt/apart",
        "hub": "hub",
        "not-yet": "",
    }
    paths = {model.slug: model.path for model in DiffusionModel.objects.all()}
    MIGRATION.put_back(apps, None)
    assert {model.slug: model.kept_at for model in DiffusionModel.objects.all()} == paths
