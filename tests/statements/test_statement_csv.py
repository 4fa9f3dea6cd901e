"""A statement as CSV: the same lines as the page, safe to open, however long it is."""

import csv
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import Client

from tests.bench.bulk import Bulk, make_bulk
from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits import ledger
from webapp.generation.queueing import services
from webapp.statements import csv_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]


def download(client: Client, query: str = "") -> tuple[Any, list[dict[str, str]]]:
    """The response, and its lines by the names of their columns."""
    answer: Any = client.get(f"/credits/statement.csv?{query}")
    assert isinstance(answer, StreamingHttpResponse)
    body = async_to_sync(join)(answer).decode("utf-8-sig")
    return answer, list(csv.DictReader(io.StringIO(body)))


async def join(answer: StreamingHttpResponse) -> bytes:
    pieces = answer.streaming_content
    assert isinstance(pieces, AsyncIterator)
    return b"".join([piece async for piece in pieces])


def test_the_file_holds_every_line_and_says_what_it_is(
    as_alice: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    image = submit(alice, offered_model, prompt="여우, at dusk").images.get()
    assert finish(claim(offered_model))
    cancelled = submit(alice, offered_model, prompt="an owl").images.get()
    services.cancel_image(owner=alice, image_id=cancelled.pk)
    ledger.top_up(
        user=alice, amount_ucr=5_000_000, actor=charlie, reason="a prize", key="1", note="hush"
    )
    answer, lines = download(as_alice)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="darkroom-credits-')
    assert "no-store" in answer["Cache-Control"]
    told = [
        (line["kind"], line["description"], line["credits"], line["balance"], line["image"])
        for line in lines
    ]
    assert told == [
        ("top_up", "a prize", "5.00", "204.80", ""),
        ("not_charged", "an owl", "", "", str(cancelled.pk)),
        ("capture", "여우, at dusk", "-0.20", "199.80", str(image.pk)),
        ("grant", "welcome credits", "200.00", "200.00", ""),
    ]
    assert "hush" not in str(lines)


def test_the_file_begins_so_that_spreadsheets_know_its_encoding(as_alice: Client) -> None:
    answer: Any = as_alice.get("/credits/statement.csv")
    assert async_to_sync(join)(answer).startswith(b"\xef\xbb\xbftime,kind,")


@pytest.mark.parametrize("words", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)"])
def test_words_from_people_are_never_a_formula(
    as_alice: Client, alice: User, charlie: User, offered_model: DiffusionModel, words: str
) -> None:
    submit(alice, offered_model, prompt=words)
    assert finish(claim(offered_model))
    key = uuid.uuid4().hex
    ledger.top_up(user=alice, amount_ucr=1, actor=charlie, reason=words, key=key)
    _answer, lines = download(as_alice)
    assert [line["description"] for line in lines[:2]] == [f"'{words}"] * 2
    assert lines[0]["reason"] == f"'{words}"
    assert lines[1]["credits"] == "-0.20"


def test_the_file_holds_what_the_filter_asks_for(
    as_alice: Client, alice: User, charlie: User
) -> None:
    ledger.top_up(user=alice, amount_ucr=5_000_000, actor=charlie, reason="a prize", key="1")
    assert [line["kind"] for line in download(as_alice, "kind=top_up")[1]] == ["top_up"]
    assert download(as_alice, "until=2020-01-01")[1] == []


def test_a_long_file_is_sent_in_pieces_and_whole(
    client: Client, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "LINES_PER_CHUNK", 100)
    person = make_bulk(Bulk(people=1, lines=750, released=50), model_id=offered_model.pk)
    client.force_login(person)
    _answer, lines = download(client)
    assert len(lines) == 800
    assert len({line["image"] for line in lines if line["kind"] == "not_charged"}) == 50
    assert lines[-1]["kind"] == "grant"


def test_the_file_is_ones_own(client: Client, alice: User, bob: User) -> None:
    assert client.get("/credits/statement.csv").status_code == 302
    client.force_login(bob)
    assert len(download(client)[1]) == 1
