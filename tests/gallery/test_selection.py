"""Many images at once: which are meant, whose they are, and that nothing else changes."""

import io
import zipfile
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from tests.bench.wall import hang_pictures
from tests.gallery.pictures import age, draw, put_into
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput, NotFound, TooMany
from webapp.gallery import downloads
from webapp.gallery.collections import create_collection
from webapp.gallery.downloads import list_entries
from webapp.gallery.filters import WallFilter
from webapp.gallery.selection import Selection, read_selection, select_images
from webapp.generation.models import Image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]

ACTS = {
    "/gallery/favourites/": {"on": "1"},
    "/gallery/bin/": {},
    "/gallery/bin/restoration/": {},
    "/gallery/bin/deletion/": {},
    "/gallery/archive/": {},
}
JSON = {"Accept": "application/json"}


def everything(**fields: str) -> dict[str, str]:
    return {"all": "1", "seen": timezone.now().isoformat(), **fields}


def test_picked_pictures_are_marked_in_one_statement(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    one, two, other = (draw(alice, offered_model) for _n in range(3))
    fields = {"image": f"{one.pk},{two.pk}", "on": "1"}
    answer = as_alice.post("/gallery/favourites/", fields, headers=JSON).json()
    assert answer == {"sentence": "2 new favourites.", "changed": 2}
    assert set(Image.objects.filter(is_favourite=True)) == {one, two}
    assert as_alice.post("/gallery/favourites/", fields, headers=JSON).json()["changed"] == 0
    several = {"image": [str(one.pk), str(other.pk)], "on": "0"}
    assert as_alice.post("/gallery/favourites/", several, headers=JSON).json()["changed"] == 1


def test_all_of_a_search_is_what_was_seen_of_it(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    fox = draw(alice, offered_model, prompt="a fox")
    owl = draw(alice, offered_model, prompt="an owl")
    his = draw(bob, offered_model, prompt="a fox")
    fields = everything(q="fox")
    late = draw(alice, offered_model, prompt="a fox that came late")
    answer = as_alice.post("/gallery/bin/", fields, headers=JSON).json()
    assert answer["changed"] == 1
    assert list(Image.objects.filter(binned_at__isnull=False)) == [fox]
    assert Image.objects.filter(pk__in=[owl.pk, late.pk, his.pk], binned_at=None).count() == 3


@pytest.mark.parametrize("place", ["favourites", "collection", "bin"])
def test_all_of_a_place_is_that_place_alone(
    as_alice: Client, alice: User, offered_model: DiffusionModel, place: str
) -> None:
    inside, outside = draw(alice, offered_model), draw(alice, offered_model)
    foxes = create_collection(owner=alice, name="Foxes")
    put_into(foxes, inside)
    Image.objects.filter(pk=inside.pk).update(is_favourite=True)
    if place == "bin":
        age(inside, binned_at=1)
    where = str(foxes.pk) if place == "collection" else place
    selection = read_selection(_query(everything(**{"in": where})))
    assert list(select_images(owner=alice, selection=selection)) == [inside]
    assert outside.pk


@pytest.mark.parametrize("address", sorted(ACTS))
def test_what_is_anothers_is_not_there(
    as_bob: Client, alice: User, bob: User, offered_model: DiffusionModel, address: str
) -> None:
    hers, his = draw(alice, offered_model), draw(bob, offered_model)
    before = list(Image.objects.order_by("pk").values())
    assert as_bob.post(address, {**ACTS[address], "image": str(hers.pk)}).status_code == 404
    assert list(Image.objects.order_by("pk").values()) == before
    # Beside one of his own, hers stays as it is.
    as_bob.post(address, {**ACTS[address], "image": f"{hers.pk},{his.pk}"})
    as_bob.post(address, {**ACTS[address], **everything()})
    now = Image.objects.values().get(pk=hers.pk)
    assert now in before


@pytest.mark.parametrize("address", sorted(ACTS))
def test_a_selection_that_cannot_be_read_is_refused(as_alice: Client, address: str) -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"image": "x"},
        {"all": "1"},
        {"all": "1", "seen": "yesterday"},
        {**everything(), "shape": "round"},
        {"image": ",".join(["0" * 32] * 2001)},
    ]
    for fields in wrong:
        response = as_alice.post(address, {**ACTS[address], **fields}, headers=JSON)
        assert response.status_code == 400, fields
        assert response.json()["error"]["message"]


def test_an_act_needs_a_post_with_the_pages_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    for address in ACTS:
        assert strict.get(address).status_code == 405
        assert strict.post(address, ACTS[address]).status_code == 403


def test_a_plain_form_comes_back_to_where_it_was_and_nowhere_else(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    fields = {"image": str(image.pk), "on": "1"}
    for target, location in [
        ("/gallery/?q=fox", "/gallery/?q=fox"),
        ("https://evil.example/", "/gallery/"),
        ("//evil.example/", "/gallery/"),
        ("/\\evil.example/", "/gallery/"),
        ("", "/gallery/"),
    ]:
        response = as_alice.post("/gallery/favourites/", {**fields, "next": target})
        assert response["Location"] == location


def test_only_finished_pictures_are_meant(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    from tests.people import submit

    waiting = submit(alice, offered_model).images.get()
    with pytest.raises(NotFound):
        select_images(owner=alice, selection=Selection(ids=(waiting.pk,)))


async def _bytes_of(response: Any) -> bytes:
    return b"".join([chunk async for chunk in response.streaming_content])


@pytest.mark.django_db(transaction=True)
async def test_a_zip_holds_the_pictures_under_names_of_their_own(
    alice: User, offered_model: DiffusionModel, async_client: Any
) -> None:
    from asgiref.sync import sync_to_async

    images = [
        await sync_to_async(draw)(alice, offered_model, prompt=p)
        for p in ("여우", "a fox", "a fox")
    ]
    await async_client.aforce_login(alice)
    fields = {"image": ",".join(str(one.pk) for one in images)}
    response = await async_client.post("/gallery/archive/", fields)
    assert response["Content-Type"] == "application/zip"
    assert response["Cache-Control"] == "private, no-store"
    with zipfile.ZipFile(io.BytesIO(await _bytes_of(response))) as made:
        assert made.testzip() is None
        assert sorted(made.namelist()) == ["a-fox-7-2.png", "a-fox-7.png", "여우-7.png"]
        assert {one.compress_type for one in made.infolist()} == {zipfile.ZIP_STORED}


def test_a_zip_has_an_end(
    alice: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "IMAGES_MOST", 5)
    hang_pictures(owner=alice, model=offered_model, pictures=6)
    selection = Selection(wall=WallFilter(), seen_at=timezone.now())
    with pytest.raises(TooMany, match="At most 5 images"):
        list_entries(owner=alice, selection=selection)
    monkeypatch.setattr(downloads, "IMAGES_MOST", 6)
    names = [one.name for one in list_entries(owner=alice, selection=selection)]
    assert len(set(names)) == 6


def test_two_thousand_ids_are_picked_at_most() -> None:
    with pytest.raises(InvalidInput, match="2,000"):
        read_selection(_query({"image": ",".join(["0" * 32] * 2001)}))


def _query(fields: dict[str, str]) -> QueryDict:
    made = QueryDict(mutable=True)
    made.update(fields)
    return made
