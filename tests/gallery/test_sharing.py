"""Links to one image: what strangers see, and when they see nothing."""

import io

import pytest
from django.db import connection
from django.test import Client
from PIL import Image as Picture

from tests.gallery.pictures import age, draw, png_with_parameters
from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, NotFound
from webapp.gallery.models import Share
from webapp.gallery.sharing import hash_token, share_image
from webapp.generation.models import Image
from webapp.generation.queueing import services

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]

JSON = {"Accept": "application/json"}


@pytest.fixture
def image(alice: User, offered_model: DiffusionModel) -> Image:
    """Alice's image, with what made it inside."""
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage

    drawn = draw(alice, offered_model, negative_prompt="nobody sees this")
    default_storage.delete(drawn.file)
    default_storage.save(drawn.file, ContentFile(png_with_parameters()))
    return drawn


def share(client: Client, image: Image, **fields: str) -> str:
    """The path of a new link."""
    response = client.post(f"/images/{image.pk}/share/", fields, headers=JSON)
    assert response.status_code == 201
    return str(response.json()["link"]).removeprefix("http://testserver")


def test_a_link_shows_the_picture_and_nothing_else_of_its_owner(
    as_alice: Client, alice: User, image: Image
) -> None:
    path = share(as_alice, image)
    response = Client().get(path)
    html = response.content.decode()
    assert response.status_code == 200
    for secret in ("fox", "nobody", alice.email, str(image.pk), "worker-1", image.model.name):
        assert secret not in html
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Robots-Tag"].startswith("noindex")
    assert response["Referrer-Policy"] == "no-referrer"
    assert 'name="robots" content="noindex' in html
    assert "sessionid" not in response.cookies
    file = Client().get(f"{path}file/")
    assert file["Content-Type"] == "image/png"
    assert file["Referrer-Policy"] == "no-referrer"
    with Picture.open(io.BytesIO(file.content)) as picture:
        assert picture.size == (64, 64)
        assert "parameters" not in picture.info
    assert b"fox" not in file.content


def test_the_prompt_is_shown_where_the_owner_wants_that(as_alice: Client, image: Image) -> None:
    path = share(as_alice, image, prompt="1")
    html = Client().get(path).content.decode()
    assert "a fox at dusk" in html
    assert "nobody" not in html
    assert b"a fox at dusk" in Client().get(f"{path}file/").content


def test_only_the_hash_of_a_token_is_kept(as_alice: Client, image: Image) -> None:
    token = share(as_alice, image).split("/")[2]
    assert len(token) >= 32
    assert Share.objects.get().token_hash == hash_token(token)
    with connection.cursor() as cursor:
        cursor.execute("SELECT gallery_share::text FROM gallery_share")
        assert token not in str(cursor.fetchall())


def test_a_new_link_ends_the_old_one(as_alice: Client, image: Image) -> None:
    old, new = share(as_alice, image), share(as_alice, image)
    assert [Client().get(path).status_code for path in (old, new)] == [404, 200]


@pytest.mark.parametrize("end", ["revoked", "binned", "deleted", "switched off"])
def test_a_link_that_ended_leads_nowhere(
    as_alice: Client, alice: User, image: Image, end: str
) -> None:
    path = share(as_alice, image)
    if end == "revoked":
        as_alice.post(f"/images/{image.pk}/share/revocation/")
    elif end == "binned":
        age(image, binned_at=0)
    elif end == "deleted":
        services.delete_image(owner=alice, image_id=image.pk)
    else:
        User.objects.filter(pk=alice.pk).update(is_active=False)
    never = Client().get("/s/never-was/")
    for name in ("", "file/"):
        response = Client().get(f"{path}{name}")
        assert response.status_code == 404
        assert response.content == never.content


def test_other_addresses_stay_closed_to_whoever_has_the_link(
    as_alice: Client, image: Image
) -> None:
    share(as_alice, image)
    for name in ("", "file/", "thumbnail/", "download/"):
        assert Client().get(f"/images/{image.pk}/{name}").status_code == 302


def test_only_ones_own_finished_pictures_are_shared(
    as_bob: Client, alice: User, bob: User, image: Image, offered_model: DiffusionModel
) -> None:
    assert as_bob.post(f"/images/{image.pk}/share/").status_code == 404
    waiting = submit(alice, offered_model).images.get()
    with pytest.raises(Conflict):
        share_image(owner=alice, image_id=waiting.pk, shows_prompt=False)
    age(image, binned_at=1)
    with pytest.raises(Conflict):
        share_image(owner=alice, image_id=image.pk, shows_prompt=False)
    with pytest.raises(NotFound):
        share_image(owner=bob, image_id=image.pk, shows_prompt=False)
    assert not Share.objects.exists()


def test_another_person_cannot_end_a_link(as_alice: Client, as_bob: Client, image: Image) -> None:
    path = share(as_alice, image)
    assert as_bob.post(f"/images/{image.pk}/share/revocation/").status_code == 404
    assert Client().get(path).status_code == 200


def test_without_scripts_the_link_is_said_once(as_alice: Client, image: Image) -> None:
    as_alice.post(f"/images/{image.pk}/share/")
    first = as_alice.get(f"/images/{image.pk}/").content.decode()
    second = as_alice.get(f"/images/{image.pk}/").content.decode()
    assert "http://testserver/s/" in first
    assert "http://testserver/s/" not in second
    assert "Shared with a link since" in second
