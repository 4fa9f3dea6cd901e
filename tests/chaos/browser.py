"""A browser without a screen, at an address of its own: cookies, forms with their token, files."""

import http.client
import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any

from tests.chaos.book import Book
from tests.chaos.diary import Diary

TIMEOUT_S = 20.0
SERVER_ERROR = 500
IDS = re.compile(r"[0-9a-f-]{32,}|(?<=/)\d+(?=/)|\?.*")


class Away(Exception):
    """No answer came: refused, broken off, or too slow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    location: str

    @property
    def is_good(self) -> bool:
        """Neither refused nor away."""
        return self.status < http.HTTPStatus.BAD_REQUEST

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> dict[str, Any]:
        """The body's object; raises Away if it is none (a proxy's page, a cut answer)."""
        try:
            return dict(json.loads(self.body))
        except ValueError as error:
            raise Away(f"no JSON: {self.body[:80]!r}") from error


class Browser:
    """One visitor. Loopback has an address for everybody: limits by address see them apart."""

    def __init__(self, port: int, *, who: str, number: int, book: Book, diary: Diary) -> None:
        self.port = port
        self.who = who
        self.source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)
        self.book, self.diary = book, diary
        self.cookies: dict[str, str] = {}

    def get(self, path: str, *, accept: str = "text/html", timeout_s: float = TIMEOUT_S) -> Answer:
        """The answer, whatever its status; raises Away."""
        return self._request("GET", path, b"", {"Accept": accept}, timeout_s)

    def post(
        self, path: str, fields: Mapping[str, str], *, accept: str = "application/json"
    ) -> Answer:
        """The answer to a form, whatever its status; raises Away."""
        headers = {"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"}
        body = urllib.parse.urlencode(fields).encode()
        return self._request("POST", path, body, self._form_headers(path, headers), TIMEOUT_S)

    def post_file(self, path: str, fields: Mapping[str, str], content: bytes) -> Answer:
        """The same for a form with a file."""
        mark = uuid.uuid4().hex
        lines = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        body = [*lines, head.encode(), b"Content-Type: image/png\r\n\r\n", content]
        headers = {
            "Accept": "application/json",
            "Content-Type": f"multipart/form-data; boundary={mark}",
        }
        whole = b"".join([*body, f"\r\n--{mark}--\r\n".encode()])
        return self._request("POST", path, whole, self._form_headers(path, headers), TIMEOUT_S)

    def open_stream(self, path: str, *, timeout_s: float) -> http.client.HTTPResponse:
        """An open event stream, to be closed by the caller; raises Away."""
        connection = self._connection(timeout_s)
        try:
            connection.request("GET", path, headers=self._headers({"Accept": "text/event-stream"}))
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Away(f"{type(error).__name__}: {error}") from error
        self.diary.note_request(self.who, "GET", path, answer.status, 0.0)
        if answer.status != http.HTTPStatus.OK:
            connection.close()
            raise Away(f"the stream answered {answer.status}")
        return answer

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        started = time.monotonic()
        connection = self._connection(timeout_s)
        try:
            connection.request(method, path, body, self._headers(headers))
            response = connection.getresponse()
            answer = Answer(response.status, response.read(), response.getheader("Location", ""))
        except (OSError, http.client.HTTPException) as error:
            said = f"{type(error).__name__}: {error}"
            self.diary.note_request(self.who, method, path, said, time.monotonic() - started)
            raise Away(said) from error
        finally:
            connection.close()
        self.diary.note_request(self.who, method, path, answer.status, time.monotonic() - started)
        if answer.status >= SERVER_ERROR:
            self.diary.note("server_error", path=path, status=answer.status, body=answer.text[:300])
        if answer.status == SERVER_ERROR:
            self.book.complain(f"{method} {IDS.sub('<id>', path)} was answered 500")
        self._keep_cookies(response)
        return answer

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=timeout_s, source_address=self.source
        )

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**headers, "Cookie": cookies} if cookies else dict(headers)

    def _form_headers(self, path: str, headers: Mapping[str, str]) -> dict[str, str]:
        origin = f"http://127.0.0.1:{self.port}"
        token = self.cookies.get("csrftoken", "")
        return {**headers, "Referer": origin + path, "X-CSRFToken": token}

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)


class _Form(HTMLParser):
    """The fields of every form of a page, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Inputs, and the chosen option of a choice (the first if none is)."""
        have = {name: value or "" for name, value in attrs}
        name = have.get("name", "")
        if tag == "select":
            self.select = name
        elif tag == "option" and self.select:
            if "selected" in have or self.select not in self.fields:
                self.fields[self.select] = have.get("value", "")
        elif tag == "input" and name and _is_sent(have):
            self.fields[name] = have.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """A choice ends."""
        if tag == "select":
            self.select = ""


def _is_sent(have: Mapping[str, str]) -> bool:
    kind = have.get("type", "text")
    if kind in {"checkbox", "radio"}:
        return "checked" in have
    return kind not in {"submit", "button", "file"}


def read_form(page: str) -> dict[str, str]:
    """The fields that the forms of this page would send, by name."""
    form = _Form()
    form.feed(page)
    return form.fields
