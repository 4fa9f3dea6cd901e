"""The bin: out of sight at once, back within thirty days, and then gone for good."""

from datetime import datetime

import pytest
from django.test import Client

from tests.bench.wall import hang_pictures
from tests.gallery.pictures import age, draw, put_into, show
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits.models import Entry
from webapp.credits.selectors import get_balance
from webapp.gallery import bulk
from webapp.gallery.collections import create_collection
from webapp.gallery.models import CollectionItem, Share
from webapp.gallery.sharing import share_image
from webapp.gallery.tasks import empty_bins
from webapp.generation.models import DiscardedFile, Generation, Image
from webapp.generation.orphans import delete_discarded_files

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]

JSON = {"Accept": "application/json"}


def put(client: Client, image: Image) -> dict[str, str]:
    return dict(client.post("/gallery/bin/", {"image": str(image.pk)}, headers=JSON).json())


def test_what_one_act_put_into_the_bin_one_undo_takes_out(
    as_alice: Client, as_bob: Client, alice: User, offered_model: DiffusionModel
) -> None:
    one, two = draw(alice, offered_model, prompt="one"), draw(alice, offered_model, prompt="two")
    first, second = put(as_alice, one), put(as_alice, two)
    assert show(alice) == []
    # Not another person's act, nor one of another moment.
    assert as_bob.post("/gallery/bin/undo/", first, headers=JSON).json()["changed"] == 0
    assert as_alice.post("/gallery/bin/undo/", first, headers=JSON).json()["changed"] == 1
    assert (show(alice), show(alice, place="bin")) == (["one"], ["two"])
    assert as_alice.post("/gallery/bin/undo/", first, headers=JSON).json()["changed"] == 0
    assert as_alice.post("/gallery/bin/undo/", {"at": "x"}, headers=JSON).status_code == 400
    assert second["sentence"] == "1 image is in the bin."


def test_binning_twice_keeps_the_first_moment(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    first = datetime.fromisoformat(put(as_alice, image)["at"])
    assert int(put(as_alice, image)["changed"]) == 0
    image.refresh_from_db()
    assert image.binned_at == first


def test_a_picture_is_restored_as_it_was(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    Image.objects.filter(pk=image.pk).update(is_favourite=True)
    put(as_alice, image)
    fields = {"image": str(image.pk)}
    answer = as_alice.post("/gallery/bin/restoration/", fields, headers=JSON).json()
    assert answer["sentence"] == "1 image is back in the gallery."
    assert show(alice, place="favourites") == ["a fox at dusk"]


def test_only_what_is_in_the_bin_is_deleted_for_good(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    binned, kept = draw(alice, offered_model), draw(alice, offered_model, prompt="kept")
    put(as_alice, binned)
    fields = {"image": f"{binned.pk},{kept.pk}"}
    answer = as_alice.post("/gallery/bin/deletion/", fields, headers=JSON).json()
    assert answer["changed"] == 1
    assert (show(alice), show(alice, place="bin")) == (["kept"], [])


def test_what_is_deleted_is_gone_from_every_address_before_it_is_swept(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    put(as_alice, image)
    assert as_alice.get(f"/images/{image.pk}/").status_code == 200
    as_alice.post("/gallery/bin/deletion/", {"image": str(image.pk)})
    for name in ("", "file/", "thumbnail/", "download/"):
        assert as_alice.get(f"/images/{image.pk}/{name}").status_code == 404
    for name in ("restoration", "deletion"):
        path = f"/gallery/bin/{name}/"
        assert as_alice.post(path, {"image": str(image.pk)}).status_code == 404
    undone = {"at": bulk.LONG_AGO.isoformat()}
    assert as_alice.post("/gallery/bin/undo/", undone, headers=JSON).json()["changed"] == 0


def test_after_thirty_days_rows_and_files_go_and_the_books_stay(
    alice: User, offered_model: DiffusionModel
) -> None:
    gone, fresh = draw(alice, offered_model), draw(alice, offered_model, prompt="fresh")
    child = draw(alice, offered_model, prompt="child")
    Generation.objects.filter(pk=child.generation_id).update(parent=gone)
    Image.objects.filter(pk=gone.pk).update(strip="images/strip.webp")
    gone.refresh_from_db()
    collection = create_collection(owner=alice, name="Foxes")
    put_into(collection, gone)
    share_image(owner=alice, image_id=gone.pk, shows_prompt=False)
    age(gone, binned_at=30)
    age(fresh, binned_at=29)
    before = get_balance(user=alice)
    empty_bins()
    assert not Image.objects.filter(pk=gone.pk).exists()
    assert not Generation.objects.filter(pk=gone.generation_id).exists()
    assert not CollectionItem.objects.exists()
    assert not Share.objects.exists()
    names = set(DiscardedFile.objects.values_list("name", flat=True))
    assert names == {gone.file, gone.thumbnail, gone.strip}
    delete_discarded_files()
    assert show(alice, place="bin") == ["fresh"]
    assert get_balance(user=alice) == before
    assert Entry.objects.filter(image_id=gone.pk).exists()


def test_a_request_goes_with_its_last_picture(alice: User, offered_model: DiffusionModel) -> None:
    from tests.people import claim, finish, submit

    made = submit(alice, offered_model, count=2)
    assert finish(claim(offered_model))
    assert finish(claim(offered_model))
    first, second = made.images.order_by("index")
    age(first, binned_at=31)
    assert bulk.empty_bins(batches=1) == 1
    assert Generation.objects.filter(pk=made.pk).exists()
    age(second, binned_at=31)
    assert bulk.empty_bins(batches=1) == 1
    assert not Generation.objects.filter(pk=made.pk).exists()


def test_bins_are_emptied_in_batches(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "ROWS_AT_ONCE", 10)
    hang_pictures(owner=alice, model=offered_model, pictures=35)
    Image.objects.update(binned_at=bulk.LONG_AGO)
    assert bulk.empty_bins(batches=2) == 20
    assert bulk.empty_bins(batches=5) == 15
    assert DiscardedFile.objects.count() == 70
    assert bulk.empty_bins(batches=5) == 0


def test_the_feed_says_where_a_binned_picture_is(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    put(as_alice, image)
    html = as_alice.get("/").content.decode()
    assert "in the bin" in html
    assert f"/images/{image.pk}/thumbnail/" not in html
