"""Images in a bucket: what is written is read, and one that hangs is waited for by few."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from tests.core.bucket_calls import BucketCalls
from tests.faults.hanging_proxy import HangingProxy
from webapp.core import buckets
from webapp.core.neighbours import STORAGE, StorageAway, silent_neighbours
from webapp.generation.storage import delete_files, list_files

pytest_plugins = ["tests.core.buckets"]

AT_ONCE_S = 0.3


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails the test if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "CONNECT_S", 1)
    monkeypatch.setattr(buckets, "READ_S", 1)


def put(name: str, content: bytes = b"a picture") -> str:
    return default_storage.save(name, ContentFile(content))


def get(name: str) -> bytes:
    with default_storage.open(name) as file:
        return bytes(file.read())


@pytest.mark.usefixtures("hanging_bucket")
def test_what_is_written_is_read_listed_and_deleted() -> None:
    assert put("images/ab/one.png") == "images/ab/one.png"
    put("images/ab/one.png", b"another")
    assert get("images/ab/one.png") == b"another"
    assert default_storage.exists("images/ab/one.png")
    assert default_storage.listdir("images/ab") == ([], ["one.png"])
    assert default_storage.size("images/ab/one.png") == 7
    default_storage.delete("images/ab/one.png")
    default_storage.delete("images/ab/one.png")
    assert not default_storage.exists("images/ab/one.png")
    with pytest.raises(FileNotFoundError, match=r"one\.png is not in the bucket"):
        get("images/ab/one.png")


def test_one_question_is_one_request(hanging_bucket: HangingProxy) -> None:
    put("images/one.png")
    with default_storage.open("images/one.png") as file:
        hanging_bucket.hang()
        assert file.read() == b"a picture", "the rest of the file came when it was opened"


@pytest.mark.usefixtures("impatient")
def test_a_bucket_that_hangs_is_given_up_and_then_nobody_waits(
    hanging_bucket: HangingProxy,
) -> None:
    put("images/one.png")
    hanging_bucket.hang()
    tries = buckets.TRIES * buckets.READ_S + 2
    with within(tries + AT_ONCE_S), pytest.raises(StorageAway):
        get("images/one.png")
    assert silent_neighbours() == ["image storage"]
    for ask in (get, put, default_storage.delete, default_storage.exists):
        with within(AT_ONCE_S), pytest.raises(StorageAway, match="known not to answer"):
            ask("images/one.png")
    hanging_bucket.resume()
    time.sleep(STORAGE.rest_s)
    assert get("images/one.png") == b"a picture"
    assert silent_neighbours() == []


@pytest.mark.usefixtures("impatient")
def test_few_threads_meet_it_however_many_ask(hanging_bucket: HangingProxy) -> None:
    put("images/one.png")
    hanging_bucket.hang()
    before = hanging_bucket.accepted

    def ask(_turn: int) -> str:
        try:
            return str(get("images/one.png"))
        except StorageAway as error:
            return str(error)

    with ThreadPoolExecutor(40) as visitors, within(8):
        answers = list(visitors.map(ask, range(40)))
    assert all("image" in answer or "timeout" in answer.lower() for answer in answers)
    assert hanging_bucket.accepted - before <= buckets.AT_ONCE * buckets.TRIES
    assert sum("just fallen silent" in answer for answer in answers) >= 40 - 2 * buckets.AT_ONCE


def test_a_bucket_that_refuses_is_away_at_once(hanging_bucket: HangingProxy) -> None:
    put("images/one.png")
    hanging_bucket.refuse()
    with within(3), pytest.raises(StorageAway):
        get("images/one.png")
    assert silent_neighbours() == []
    hanging_bucket.resume()
    assert get("images/one.png") == b"a picture"


@pytest.mark.usefixtures("hanging_bucket")
def test_a_key_that_is_refused_is_an_error_of_the_storage_and_no_silence() -> None:
    with pytest.raises(StorageAway, match="NoSuchBucket"):
        buckets.BucketStorage(
            bucket_name="nowhere", **{**default_storage_options(), "file_overwrite": True}
        ).save("one.png", ContentFile(b"x"))
    assert silent_neighbours() == []


REFUSALS = [(403, "AccessDenied"), (500, "InternalError"), (503, "SlowDown"), (507, "StorageFull")]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[1])
def test_whatever_a_bucket_refuses_with_is_an_error_of_the_storage(
    bucket_calls: BucketCalls, refusal: tuple[int, str]
) -> None:
    put(name := "images/ab/one.png")
    bucket_calls.sent.clear()
    bucket_calls.refusal = refusal
    asked = (
        lambda: put(name),
        lambda: get(name),
        lambda: default_storage.delete(name),
        lambda: default_storage.exists(name),
        lambda: default_storage.listdir("images"),
        lambda: default_storage.size(name),
        lambda: default_storage.get_modified_time(name),
        lambda: list_files("images/ab"),
        lambda: delete_files(name, "images/ab/two.png"),
    )
    for ask in asked:
        with within(buckets.ANSWER_S), pytest.raises(StorageAway):
            ask()
        assert bucket_calls.count <= buckets.TRIES
    assert silent_neighbours() == []


def test_a_large_image_is_one_request(bucket_calls: BucketCalls) -> None:
    """boto3 itself cuts what has eight megabytes into pieces, with two more requests."""
    put("images/a0/large.png", bytes(9_000_000))
    assert bucket_calls.count == 1
    assert len(get("images/a0/large.png")) == 9_000_000
    assert bucket_calls.count == 1


def test_many_files_are_deleted_in_one_request(bucket_calls: BucketCalls) -> None:
    names = [f"images/many/{number}.png" for number in range(30)]
    for name in names[::2]:
        put(name)
    assert bucket_calls.count == 15
    delete_files("", *names)
    assert bucket_calls.count == 1
    assert list_files("images/many") == []
    delete_files("", "")
    assert bucket_calls.count == 1, "nothing to delete is nothing to ask"


def test_more_than_a_request_may_name_are_deleted_in_several(
    bucket_calls: BucketCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "NAMES_AT_ONCE", 2)
    delete_files(*(f"images/ab/{number}.png" for number in range(5)))
    assert bucket_calls.count == 3


def test_a_bucket_that_cannot_delete_many_is_asked_one_by_one(bucket_calls: BucketCalls) -> None:
    for name in ("images/one-by-one/one.png", "images/one-by-one/two.png"):
        put(name)
    bucket_calls.refusal, bucket_calls.refused = (501, "NotImplemented"), "POST"
    delete_files("images/one-by-one/one.png", "images/one-by-one/two.png")
    assert list_files("images/one-by-one") == []


@pytest.mark.parametrize("kind", ["bucket", "disk"])
def test_a_folder_is_listed_with_sizes_and_times(kind: str, request: pytest.FixtureRequest) -> None:
    calls = request.getfixturevalue("bucket_calls") if kind == "bucket" else None
    began = datetime.now(UTC) - timedelta(seconds=5)
    put("images/listed/one.png", b"12345")
    put("images/listed/deeper/two.png")
    if calls:
        assert calls.count == 2
    (one,) = list_files("images/listed")
    assert (one.name, one.size_bytes) == ("images/listed/one.png", 5)
    assert began < one.modified_at < datetime.now(UTC) + timedelta(seconds=5)
    assert one.md5 in {"", hashlib.md5(b"12345", usedforsecurity=False).hexdigest()}
    assert list_files("images/nothing-here") == []
    if calls:
        assert calls.count == 2
        assert one.md5


def default_storage_options() -> dict[str, Any]:
    return {
        name: getattr(default_storage, name)
        for name in ("endpoint_url", "region_name", "access_key", "secret_key")
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["bucket", "disk"])
def test_no_database_connection_is_held_while_files_are_asked_for(
    kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "bucket":
        request.getfixturevalue("hanging_bucket")
    asked = (
        lambda: put("images/one.png"),
        lambda: get("images/one.png"),
        lambda: default_storage.exists("images/one.png"),
        lambda: default_storage.listdir("images"),
        lambda: default_storage.size("images/one.png"),
        lambda: default_storage.get_modified_time("images/one.png"),
        lambda: default_storage.delete("images/one.png"),
    )
    for ask in asked:
        connection.ensure_connection()
        ask()
        assert connection.connection is None
