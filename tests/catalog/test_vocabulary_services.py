"""A model's vocabulary comes out of its folder when it is added, scanned or prepared, and from the
database ever after."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.operations.passwords import give_password
from tests.pages import serve_plain_static
from tests.people import make_model
from tests.vocabularies import as_bytes, give_vocabulary, small_vocabulary
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel, ModelVocabulary
from webapp.catalog.services import add_local_model, mark_downloaded, offer_starter_model
from webapp.catalog.vocabulary_selectors import kept_vocabulary, lexicon_of, vocabulary_of
from webapp.catalog.vocabulary_services import (
    describe_vocabulary,
    keep_vocabulary,
    read_vocabulary,
    refresh_vocabularies,
    refresh_vocabulary,
)
from webapp.core.errors import InvalidInput
from webapp.operations.management.commands import prepare

pytestmark = pytest.mark.django_db
FOUND = {"family": "sd", "form": "folder", "native_size_px": 64, "title": "small"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, as far as the catalog looks."""
    path = tmp_path / "small"
    path.mkdir()
    (path / "model_index.json").write_text("{}")
    return path


def write(folder: Path, vocabulary: Any) -> None:
    (folder / "vocabulary.json").write_bytes(as_bytes(vocabulary))


def add(folder: Path) -> DiffusionModel:
    return add_local_model(path=folder, found=FOUND)


def again(model: DiffusionModel) -> DiffusionModel:
    return DiffusionModel.objects.get(pk=model.pk)


def things_of(model: DiffusionModel) -> int:
    vocabulary = vocabulary_of(again(model))
    return vocabulary.thing_count if vocabulary else 0


def test_a_model_without_the_file_knows_nothing_of_words(folder: Path) -> None:
    model = add(folder)
    assert vocabulary_of(model) is None
    assert not ModelVocabulary.objects.exists()
    assert describe_vocabulary(model) == "It has no vocabulary: people may ask it for anything."


def test_a_model_is_added_with_its_vocabulary(folder: Path) -> None:
    write(folder, small_vocabulary())
    model = add(folder)
    assert things_of(model) == 11
    assert describe_vocabulary(model) == "It knows 11 things."
    kept = ModelVocabulary.objects.get()
    assert kept.digest == model.vocabulary_digest
    assert "아이스크림" in kept.body


def test_a_single_file_has_its_vocabulary_beside_its_index(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"weights")
    configuration = tmp_path / "one.config"
    configuration.mkdir()
    write(configuration, small_vocabulary())
    assert read_vocabulary(tmp_path / "one.safetensors") == as_bytes(small_vocabulary())


def test_a_model_whose_vocabulary_is_wrong_is_not_added(folder: Path) -> None:
    write(folder, small_vocabulary(version=3))
    with pytest.raises(InvalidInput, match="“version” must be 1"):
        add(folder)
    assert not DiffusionModel.objects.exists()


def test_a_folder_in_place_of_the_file_is_refused(folder: Path) -> None:
    (folder / "vocabulary.json").mkdir()
    with pytest.raises(InvalidInput, match="It is not a file"):
        add(folder)


def test_a_changed_file_is_noticed_and_a_removed_one_too(folder: Path) -> None:
    write(folder, small_vocabulary())
    model = add(folder)
    assert refresh_vocabulary(model=again(model)) == ""
    write(folder, small_vocabulary("near", things={"en": {"cat": "cat"}}))
    assert refresh_vocabulary(model=again(model)) == "small: It knows 1 thing."
    assert things_of(model) == 1
    (folder / "vocabulary.json").unlink()
    assert "has no vocabulary" in refresh_vocabulary(model=again(model))
    assert lexicon_of(again(model)) is None
    assert refresh_vocabulary(model=again(model)) == ""


def test_a_model_of_the_catalog_keeps_what_it_knew_when_the_file_goes_wrong(folder: Path) -> None:
    write(folder, small_vocabulary())
    model = add(folder)
    (folder / "vocabulary.json").write_text("{")
    sentence = "vocabulary.json: It is not JSON in UTF-8."
    assert refresh_vocabulary(model=again(model)) == f"small: {sentence}"
    assert again(model).vocabulary_problem == sentence
    assert things_of(model) == 11
    write(folder, small_vocabulary())
    assert refresh_vocabulary(model=again(model)) == ""
    assert again(model).vocabulary_problem == ""


def test_a_host_without_the_folder_leaves_the_vocabulary_alone(folder: Path) -> None:
    write(folder, small_vocabulary())
    model = add(folder)
    DiffusionModel.objects.update(location="/not/on/this/host")
    assert refresh_vocabularies() == []
    assert things_of(model) == 11


def test_a_downloaded_model_brings_its_vocabulary_along(folder: Path) -> None:
    hub = {"source": DiffusionModel.Source.HUB, "location": "somebody/small"}
    make_model("hub", **hub)
    make_model("wrong", **hub)
    write(folder, small_vocabulary())
    assert things_of(mark_downloaded(slug="hub", path=folder, revision="1")) == 11
    (folder / "vocabulary.json").write_text("[]")
    wrong = mark_downloaded(slug="wrong", path=folder, revision="1")
    assert "must be an object" in wrong.vocabulary_problem


def test_a_named_size_passes_the_limits_and_the_usual_size_is_one_of_them(folder: Path) -> None:
    model = make_model(
        width_px=128, height_px=128, min_side_px=96, max_side_px=192, max_pixels=128**2
    )
    model = give_vocabulary(model, sizes=[[256, 256], [64, 128]])
    assert (model.width_px, model.height_px) == (256, 256)
    assert (model.min_side_px, model.max_side_px, model.max_pixels) == (64, 256, 256**2)
    model.full_clean()
    DiffusionModel.objects.update(width_px=64, height_px=128)
    model = give_vocabulary(again(model), sizes=[[256, 256], [64, 128]])
    assert (model.width_px, model.height_px) == (64, 128)


def test_a_size_off_the_grid_of_the_model_is_refused() -> None:
    model = make_model(side_multiple_px=16)
    with pytest.raises(InvalidInput, match="multiples of 16 pixels"):
        keep_vocabulary(model=model, raw=as_bytes(small_vocabulary(sizes=[[72, 64]])))
    assert again(model).vocabulary_digest == ""


def test_names_of_styles_stay_when_the_style_goes() -> None:
    model = give_vocabulary(make_model())
    model = give_vocabulary(model, styles=[])
    assert kept_vocabulary(model).style_names["flat"] == {"en": "Flat", "ko": "플랫"}
    keep_vocabulary(model=model, raw=None)
    kept = kept_vocabulary(again(model))
    assert kept.lexicon is None
    assert set(kept.style_names) == {"flat", "pixel-art"}


def test_the_database_is_asked_once_in_a_process() -> None:
    model = give_vocabulary(make_model(), words={"en": ["once"]})
    with CaptureQueriesContext(
        connection,
    ) as queries:
        first = lexicon_of(model)
        assert lexicon_of(again(model)) is first
    assert len(queries) == 2  # the vocabulary, and the model that was read again
    assert "body" not in str(queries.captured_queries[1]["sql"])


def test_a_studio_that_has_the_starter_learns_its_words_when_they_come(folder: Path) -> None:
    offer_starter_model(path=folder)
    model = DiffusionModel.objects.get()
    write(folder, small_vocabulary(sizes=[[256, 256]]))
    assert not offer_starter_model(path=folder)
    assert refresh_vocabularies() == ["Darkroom Starter: It knows 11 things."]
    assert (again(model).width_px, again(model).max_side_px) == (256, 256)


def test_a_new_studio_has_the_starters_words_at_once(folder: Path) -> None:
    write(folder, small_vocabulary())
    assert offer_starter_model(path=folder)
    assert things_of(DiffusionModel.objects.get()) == 11


def test_a_starter_with_a_wrong_vocabulary_is_left_out_with_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vocabulary.json").write_text("{}")
    monkeypatch.setattr(prepare, "STARTER", folder)
    said = io.StringIO()
    prepare.Command(stderr=said).offer_models()
    assert "the starter model is left out. vocabulary.json: “version” must be 1." in said.getvalue()
    assert not DiffusionModel.objects.exists()


def test_prepare_says_what_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "STARTER", folder)
    said = io.StringIO()
    command = prepare.Command(stdout=said)
    command.offer_models()
    write(folder, small_vocabulary())
    command.offer_models()
    assert "Models: Darkroom Starter: It knows 11 things." in said.getvalue()


def test_a_scan_reads_the_words_of_known_models_again(
    manage_models: Callable[..., str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    root.mkdir()
    copy_of(tiny_model_dir, root / "tiny")
    write(root / "tiny", small_vocabulary(version=2))
    assert "“version” must be 1" in manage_models("scan", root)
    assert not DiffusionModel.objects.exists()
    (root / "tiny" / "vocabulary.json").unlink()
    assert "added tiny" in manage_models("scan", root)
    write(root / "tiny", small_vocabulary())
    assert "tiny: It knows 11 things." in manage_models("scan", root)
    write(root / "tiny", [])
    assert "must be an object" in manage_models("scan", root)


def test_adding_says_how_much_it_knows(
    manage_models: Callable[..., str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    copy_of(tiny_model_dir, tmp_path / "tiny")
    write(tmp_path / "tiny", small_vocabulary())
    assert "It knows 11 things." in manage_models("add", tmp_path / "tiny")


def copy_of(model_dir: Path, place: Path) -> None:
    """A folder of links: what is written beside them stays in the test's own."""
    place.mkdir()
    for part in model_dir.iterdir():
        (place / part.name).symlink_to(part)


def test_administrators_see_what_a_model_knows_and_what_is_wrong(
    client: Client, charlie: User, settings: LazySettings
) -> None:
    serve_plain_static(settings)
    model = give_vocabulary(make_model())
    DiffusionModel.objects.update(vocabulary_problem="vocabulary.json: It is not a file.")
    client.force_login(charlie)
    give_password(client)
    page = client.get(f"/admin/catalog/diffusionmodel/{model.pk}/change/").content.decode()
    assert "It knows 11 things." in page
    assert "vocabulary.json: It is not a file." in page
