"""Who sends an image's bytes, how often the storage is asked for them, and who gets them."""

import re
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from tests.bench.wall import hang_pictures
from tests.core.bucket_calls import BUCKET, BucketCalls
from tests.gallery.pictures import draw
from tests.people import picture_bytes
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.zipping import write_zip
from webapp.gallery.downloads import list_entries
from webapp.gallery.selection import read_selection
from webapp.gallery.sharing import share_image
from webapp.generation.models import Image
from webapp.operations.audit import find_violations
from webapp.operations.export import list_entries as list_export

pytest_plugins = ["tests.core.buckets"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("plain_static")]

A_PAGE = 60


@pytest.fixture
def image(bucket_calls: BucketCalls, alice: User, offered_model: DiffusionModel) -> Image:
    """A finished image of alice's whose files lie in a bucket."""
    drawn = draw(alice, offered_model)
    assert bucket_calls.count == 3, "image, thumbnail and strip are written in one request each"
    return drawn


def test_a_page_of_the_gallery_costs_a_request_an_image_once(
    as_alice: Client, alice: User, offered_model: DiffusionModel, bucket_calls: BucketCalls
) -> None:
    hang_pictures(owner=alice, model=offered_model, pictures=A_PAGE)
    for name in Image.objects.values_list("thumbnail", flat=True):
        default_storage.save(name, ContentFile(b"a thumbnail"))
    assert bucket_calls.count == A_PAGE
    page = as_alice.get("/gallery/").content.decode()
    paths = re.findall(r'src="(/images/[^"]+/thumbnail/)"', page)
    assert len(set(paths)) == A_PAGE
    tags = {path: as_alice.get(path)["ETag"] for path in paths}
    assert bucket_calls.count == A_PAGE
    again = {as_alice.get(path, headers={"If-None-Match": tags[path]}) for path in paths}
    assert {answer.status_code for answer in again} == {304}
    assert bucket_calls.count == 0
    assert len(set(tags.values())) == A_PAGE


@pytest.mark.parametrize("kind", ["file", "thumbnail", "strip", "download"])
def test_an_image_is_one_request(
    as_alice: Client, image: Image, bucket_calls: BucketCalls, kind: str
) -> None:
    answer = as_alice.get(f"/images/{image.pk}/{kind}/")
    assert answer.status_code == 200
    assert answer.content
    assert bucket_calls.count == 1


def test_zips_exports_and_the_nightly_check_ask_once_for_what_they_read(
    alice: User, image: Image, offered_model: DiffusionModel, bucket_calls: BucketCalls
) -> None:
    others = [draw(alice, offered_model) for _more in range(2)]
    images = {f"GET /{BUCKET}/{one.file}" for one in (image, *others)}
    ids = ",".join(str(one.pk) for one in (image, *others))
    selection = read_selection(QueryDict(f"image={ids}"))
    for entries in (list_entries(owner=alice, selection=selection), list_export(user=alice)):
        bucket_calls.sent.clear()
        b"".join(write_zip(entries))
        assert set(bucket_calls.sent) == images
        assert bucket_calls.count == len(images)
    assert not list(find_violations(files=True))
    small = {f"HEAD /{BUCKET}/{one.thumbnail}" for one in (image, *others)}
    assert sorted(bucket_calls.sent) == sorted(images | small)


@pytest.mark.parametrize("kind", ["file", "thumbnail", "strip"])
def test_who_may_no_longer_see_an_image_is_not_told_that_it_is_the_same(
    as_alice: Client,
    as_bob: Client,
    alice: User,
    image: Image,
    bucket_calls: BucketCalls,
    kind: str,
) -> None:
    path = f"/images/{image.pk}/{kind}/"
    first = as_alice.get(path)
    assert first["Cache-Control"] == "private, no-cache"
    kept = {"If-None-Match": first["ETag"]}
    again = as_alice.get(path, headers=kept)
    assert (again.status_code, again.content) == (304, b"")
    assert (again["ETag"], again["Cache-Control"]) == (first["ETag"], "private, no-cache")
    assert as_alice.get(path, headers={"If-None-Match": '"another"'}).status_code == 200
    assert as_bob.get(path, headers=kept).status_code == 404
    assert Client().get(path, headers=kept).status_code == 302
    Image.objects.filter(pk=image.pk).update(binned_at=timezone.now() - timedelta(days=31))
    assert as_alice.get(path, headers=kept).status_code == 404
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    assert as_alice.get(path, headers=kept).status_code == 302


def test_a_tag_tells_nothing_of_the_files_name(as_alice: Client, image: Image) -> None:
    tag = as_alice.get(f"/images/{image.pk}/thumbnail/")["ETag"]
    assert image.thumbnail[-17:-5] not in tag


@pytest.fixture
def by_bucket(settings: LazySettings) -> None:
    settings.SEND_IMAGES = "bucket"


def fetch(link: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    """What a browser gets there."""
    parts = urlsplit(link)
    with closing(HTTPConnection(parts.netloc, timeout=10)) as bucket:
        bucket.request(method, f"{parts.path}?{parts.query}", headers=headers)
        answer = bucket.getresponse()
        return answer, answer.read()


def words_of(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


@pytest.mark.usefixtures("by_bucket")
def test_a_bucket_sends_images_at_links_that_soon_end(
    as_alice: Client, image: Image, bucket_calls: BucketCalls
) -> None:
    answer = as_alice.get(f"/images/{image.pk}/file/")
    assert bucket_calls.count == 0
    assert (answer.status_code, answer["Cache-Control"]) == (302, "private, no-store")
    assert answer["Referrer-Policy"] == "no-referrer"
    link = answer["Location"]
    assert urlsplit(link).path == f"/{BUCKET}/{image.file}"
    assert int(words_of(link)["X-Amz-Expires"]) <= 60
    sent, body = fetch(link)
    assert body == picture_bytes("PNG")
    assert sent.headers["Content-Type"] == "image/png"
    assert sent.headers["Content-Disposition"] == "inline"
    part, body = fetch(link, Range="bytes=0-3")
    assert (part.status, body) == (206, picture_bytes("PNG")[:4])


@pytest.mark.usefixtures("by_bucket")
def test_a_download_from_the_bucket_has_its_name(as_alice: Client, image: Image) -> None:
    link = as_alice.get(f"/images/{image.pk}/download/")["Location"]
    sent, _body = fetch(link)
    assert str(sent.headers["Content-Disposition"]).startswith("attachment; filename=")
    assert sent.headers["Content-Type"] == "image/png"
    bare = as_alice.get(f"/images/{image.pk}/download/?metadata=no&format=jpeg")
    assert bare.status_code == 200, "what has to be made is made here"


@pytest.mark.usefixtures("by_bucket")
def test_the_head_of_an_image_in_a_bucket_is_signed_as_such(as_alice: Client, image: Image) -> None:
    path = f"/images/{image.pk}/file/"
    links = {as_alice.get(path)["Location"], as_alice.head(path)["Location"]}
    signatures = {words_of(link)["X-Amz-Signature"] for link in links}
    assert len(signatures) == 2
    head, _body = fetch(as_alice.head(path)["Location"], "HEAD")
    assert (head.status, head.headers["Content-Type"]) == (200, "image/png")


@pytest.mark.usefixtures("by_bucket")
def test_links_are_for_whoever_may_see_the_image_and_lead_nowhere_else(
    as_alice: Client, as_bob: Client, image: Image
) -> None:
    for kind in ("file", "download"):
        path = f"/images/{image.pk}/{kind}/"
        assert as_bob.get(path).status_code == 404
        assert "X-Amz-Signature" not in Client().get(path)["Location"]
    asked = {"next": "https://elsewhere.example", "Location": "//elsewhere.example"}
    link = as_alice.get(f"/images/{image.pk}/file/", asked)["Location"]
    assert "elsewhere" not in link
    Image.objects.filter(pk=image.pk).update(file="", thumbnail="", strip="", state="failed")
    assert as_alice.get(f"/images/{image.pk}/file/").status_code == 404


@pytest.mark.usefixtures("by_bucket")
def test_a_shared_image_comes_from_the_bucket_only_as_its_owner_shows_it(
    alice: User, image: Image
) -> None:
    token = share_image(owner=alice, image_id=image.pk, shows_prompt=True)
    sent = Client().get(f"/s/{token}/file/")
    assert (sent.status_code, sent["X-Robots-Tag"][:7]) == (302, "noindex")
    token = share_image(owner=alice, image_id=image.pk, shows_prompt=False)
    assert Client().get(f"/s/{token}/file/").status_code == 200, "without what made it"


@pytest.mark.usefixtures("by_bucket")
def test_what_scripts_read_is_sent_by_the_studio(as_alice: Client, image: Image) -> None:
    """Another site's pixels can't be read: the mask editor draws on start images."""
    upload = as_alice.post(
        "/uploads/from-image/", {"image": str(image.pk)}, headers={"Accept": "application/json"}
    ).json()
    for path in (upload["url"], upload["thumbnail_url"], f"/images/{image.pk}/thumbnail/"):
        assert as_alice.get(path).status_code == 200


def test_nginx_is_told_which_file_to_send(
    as_alice: Client,
    as_bob: Client,
    alice: User,
    offered_model: DiffusionModel,
    settings: LazySettings,
) -> None:
    settings.SEND_IMAGES = "nginx"
    image = draw(alice, offered_model)
    for kind, name in (
        ("file", image.file),
        ("thumbnail", image.thumbnail),
        ("strip", image.strip),
        ("download", image.file),
    ):
        path = f"/images/{image.pk}/{kind}/"
        answer = as_alice.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer["X-Accel-Redirect"] == f"/_images/{name}"
        assert answer["Content-Type"] in {"image/png", "image/webp"}
        refused = as_bob.get(path)
        assert refused.status_code == 404
        assert "X-Accel-Redirect" not in refused
    kept = {"If-None-Match": as_alice.get(f"/images/{image.pk}/file/")["ETag"]}
    again = as_alice.get(f"/images/{image.pk}/file/", headers=kept)
    assert again.status_code == 304
    assert "X-Accel-Redirect" not in again
