"""Each request has an id, each answer says it, and lines of the log say what they belong to."""

import ast
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.test import Client

from tests.pages import serve_plain_static
from tests.people import claim, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.bodies import BoundedBodies, Message
from webapp.core.herald import Herald
from webapp.core.logs import JsonFormatter, TextFormatter
from webapp.core.trail import RequestIds, Trail, current_trail, on_trail

OWN_ID = re.compile(r"[0-9a-f]{24}")
HEADER = b"x-request-id"
logger = logging.getLogger("tests.trail")


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """An application that logs, and answers with an id of its own invention."""
    logger.warning("asked")
    headers = [(b"X-Request-Id", b"invented"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": current_trail().request_id.encode()})


async def ask(*given: bytes, proxies: int = 0, app: Any = answer) -> tuple[str, str]:
    """The id that the answer carries, and the body."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [*((HEADER, one) for one in given), (b"content-length", b"5")]
    await RequestIds(app, trusted_proxies=proxies)(
        {"type": "http", "headers": headers}, receive, send
    )
    (named,) = [value for name, value in sent[0]["headers"] if name.lower() == HEADER]
    return named.decode(), sent[1]["body"].decode()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that is logged, one JSON object a line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def read(lines: io.StringIO, *, logger: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [one for one in told if one["logger"] == logger]


def record(message: str, *words: object, error: BaseException | None = None) -> logging.LogRecord:
    about = (type(error), error, None) if error else None
    return logging.LogRecord("a.room", logging.WARNING, __file__, 1, message, words, about)


async def test_every_answer_says_an_id_of_its_own() -> None:
    first, told = await ask()
    second, _told = await ask()
    assert (told, OWN_ID.fullmatch(first) is not None) == (first, True)
    assert first != second


async def test_what_is_refused_before_the_application_says_one_too() -> None:
    named, body = await ask(app=BoundedBodies(answer, most_bytes=4))
    assert (OWN_ID.fullmatch(named) is not None, "too_large" in body) == (True, True)


async def test_an_id_is_taken_from_a_trusted_proxy_alone() -> None:
    assert await ask(b"edge-1234_5.6", proxies=1) == ("edge-1234_5.6",) * 2
    named, _told = await ask(b"edge-1234_5.6", proxies=0)
    assert OWN_ID.fullmatch(named)


@pytest.mark.parametrize(
    "given",
    [
        [b"short"],
        [b"x" * 65],
        [b"with blank"],
        [b"line\nbreak1"],
        [b"trailing1\n"],
        [b'quote"quote'],
        [b"n\xc3\xb6t-ascii"],
        [b"twice-given", b"twice-given"],
    ],
)
async def test_an_id_in_another_form_is_replaced(given: list[bytes]) -> None:
    named, _told = await ask(*given, proxies=1)
    assert OWN_ID.fullmatch(named)


async def test_a_line_belongs_to_its_request(lines: io.StringIO) -> None:
    named, _told = await ask()
    (line,) = read(lines, logger="tests.trail")
    assert (line["message"], line["level"], line["request_id"]) == ("asked", "WARNING", named)
    assert "user_id" not in line


def test_the_server_gives_ids_before_anything_else() -> None:
    source = (settings.BASE_DIR / "webapp" / "asgi.py").read_text("utf-8")
    made = next(
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "application"
    )
    assert ast.unparse(made).startswith("RequestIds(BoundedVisitors(")


def test_a_line_names_the_visitor_once_somebody_has_looked(
    client: Client, alice: User, lines: io.StringIO, settings: LazySettings
) -> None:
    serve_plain_static(settings)
    client.force_login(alice)
    with on_trail(Trail("a-request")):
        assert client.get("/images/no-such-page/").status_code == 404
        assert client.post("/credits/requests/", {"amount": "x"}).status_code < 500
    told = read(lines, logger="django.request")
    assert {line["request_id"] for line in told} == {"a-request"}
    with on_trail(Trail("another")):
        client.get("/gallery/?page=none")
        assert current_trail().facts() == {"request_id": "another", "user_id": alice.pk}


def test_what_is_sent_beside_the_answer_belongs_to_the_request(lines: io.StringIO) -> None:
    herald = Herald()

    def send() -> None:
        raise OSError("away")

    with on_trail(Trail("a-request", find_user_id=lambda: 7)):
        herald.tell("a bell", send)
    herald.tell("another bell", send)
    assert herald.flush(timeout_s=10)
    named, other = read(lines, logger="webapp.core.herald")
    assert named["message"] == "a bell was not sent: away"
    assert (named["request_id"], named["user_id"]) == ("a-request", 7)
    assert "request_id" not in other


def test_a_claim_carries_the_id_of_the_request_that_asked(
    alice: User, offered_model: DiffusionModel
) -> None:
    with on_trail(Trail("a-request")):
        submit(alice, offered_model)
    assert claim(offered_model).request_id == "a-request"
    assert submit(alice, offered_model).more == {}
    assert claim(offered_model).request_id == ""


def test_a_line_of_json_is_one_line_whatever_it_says() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        about = sys.exc_info()
    line = logging.LogRecord("a", logging.ERROR, __file__, 1, 'x\n"%s"', ("\u2028",), about)
    with on_trail(Trail("a-request", "an-image", lambda: 3)):
        text = JsonFormatter().format(line)
    assert len(text.splitlines()) == 1
    told = json.loads(text)
    assert told["message"] == 'x\n"\u2028"'
    assert told["exception"].endswith("ValueError: two\nlines")
    assert {name: told[name] for name in ("request_id", "user_id", "image_id")} == {
        "request_id": "a-request",
        "user_id": 3,
        "image_id": "an-image",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told["time"])


def test_a_line_of_text_says_behind_it_what_it_belongs_to() -> None:
    assert TextFormatter().format(record("it %s", "broke")).endswith("WARNING a.room: it broke")
    with on_trail(Trail("a-request", "an-image", lambda: 3)):
        line = TextFormatter().format(record("it broke", error=ValueError("so")))
    assert " it broke [request_id=a-request user_id=3 image_id=an-image]\nValueError: so" in line
