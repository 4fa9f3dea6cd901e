"""A visitor of the studio: their browser, what they asked for, and what their page shows."""

import contextlib
import re
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from tests.chaos.book import Book, Order
from tests.chaos.browser import Answer, Away, Browser, read_form
from tests.chaos.diary import Diary

PASSWORD = "a long and quiet password"
AGAIN_S = 1.5
PATIENCE_S = 90.0
ENDED = ("stored", "failed", "cancelled")
IMAGE_IDS = re.compile(r'data-image="([0-9a-f-]{36})"')


class SignedOut(Exception):
    """The studio does not know this visitor any more."""


class Visitor:
    """A person's browser, what they asked for, and what their page shows of it."""

    def __init__(self, who: str, *, port: int, number: int, book: Book, diary: Diary) -> None:
        self.browser = Browser(port, who=who, number=number, book=book, diary=diary)
        self.who, self.book, self.diary = who, book, diary
        self.email = ""
        self.view: dict[str, str] = {}  # image id -> the state that the page shows
        self.listens = False  # a stream keeps the view, and nothing else may
        self.lock = threading.Lock()

    def sign_up(self, email: str) -> bool:
        """Whether they are in; a lost answer is found out by signing in."""
        self.email = email
        with contextlib.suppress(Away):
            self.browser.cookies.clear()
            self.browser.get("/accounts/signup/")
            self.browser.post("/accounts/signup/", {"email": email, "password1": PASSWORD})
        return self.is_in or self.sign_in(PASSWORD)

    def sign_in(self, password: str) -> bool:
        """Whether they are in."""
        with contextlib.suppress(Away):
            self.browser.get("/accounts/login/")
            self.browser.post("/accounts/login/", {"login": self.email, "password": password})
        return self.is_in

    @property
    def is_in(self) -> bool:
        """Whether a session was given."""
        return "sessionid" in self.browser.cookies

    def page(self, path: str) -> str:
        """The page; raises Away unless it is one, and SignedOut."""
        answer = self.browser.get(path)
        if answer.location.startswith("/accounts/login/"):
            raise SignedOut
        if answer.status != HTTPStatus.OK:
            raise Away(f"{path} answered {answer.status}")
        return answer.text

    def look(self) -> None:
        """Brings the view level with the studio, as a page does that has no stream."""
        with self.lock:
            ids = [one for one, state in self.view.items() if state not in ENDED]
        answer = self.browser.get(f"/studio/state/?ids={','.join(ids)}", accept="application/json")
        if answer.status != HTTPStatus.OK:
            raise Away(f"the state answered {answer.status}")
        images = answer.json()["images"]
        with self.lock:
            self.view.update({image["id"]: image["state"] for image in images})

    def order(self, key: str, fields: dict[str, str]) -> list[str]:
        """The ids of what is queued now; [] when it was refused (the price is another by now), or
        nobody knows. The same key is sent until something is known."""
        price = int(read_form(self.page("/"))["quoted_each_ucr"])
        count = int(fields["count"])
        self.book.order(key, Order(self.email, count, price, self.diary.now()))
        sent = {**fields, "idempotency_key": key, "quoted_each_ucr": str(price)}
        answer = self.until_known(lambda: self.browser.post("/generations/", sent))
        if answer is None or answer.status != HTTPStatus.CREATED:
            return []
        ids = list(dict.fromkeys(IMAGE_IDS.findall(answer.json()["html"])))
        self.book.tell(key, ids)
        with self.lock:
            for one in ids:
                self.view.setdefault(one, "queued")
        return ids

    def until_known(self, act: Callable[[], Answer]) -> Answer | None:
        """The first answer that says something; None if none came in a minute and a half."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(Away):
                answer = act()
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return answer
            time.sleep(AGAIN_S)
        return None

    def images(self, *states: str) -> list[str]:
        """Their images that the page shows in one of these states."""
        with self.lock:
            return [one for one, state in self.view.items() if state in states]

    def forget(self, image_id: str) -> None:
        """It is not on the page any more."""
        with self.lock:
            self.view.pop(image_id, None)


def act_with_password(
    browser: Browser, path: str, fields: dict[str, str], password: str = PASSWORD
) -> Answer:
    """The answer to a form that may ask for the password first; raises Away. The form is sent
    again after it, with the same key."""
    answer = browser.post(path, fields, accept="text/html")
    if "/reauthenticate/" not in answer.location:
        return answer
    browser.post(answer.location, {"password": password}, accept="text/html")
    return browser.post(path, fields, accept="text/html")
