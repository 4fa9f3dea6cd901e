"""Those who live in the studio: each is a thread with a random generator of their own."""

import contextlib
import io
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from PIL import Image as Picture

from tests.chaos.book import Book
from tests.chaos.browser import Away
from tests.chaos.diary import Diary
from tests.chaos.visitor import PASSWORD, SignedOut, Visitor, act_with_password

THINK_S = (1.0, 4.0)
MOST_LIVE = 6
THUMBNAILS, SIDE_BY_SIDE = 12, 6  # browsers open six connections
SIDE_PX = 64
WORDS = ("a fox at dusk", "an old harbour", "a lamp in the fog", "two cups of tea")


class Person(Visitor, threading.Thread):
    """Lives until `stop`: orders, looks, cancels, deletes, collects, and sometimes leaves for
    good, after which somebody else comes."""

    def __init__(
        self, number: int, *, seed: int, port: int, book: Book, diary: Diary, codes: list[str]
    ) -> None:
        Visitor.__init__(self, f"person-{number}", port=port, number=number, book=book, diary=diary)
        threading.Thread.__init__(self, name=self.who, daemon=True)
        self.rng = random.Random(f"person:{seed}:{number}")
        self.codes = codes
        self.lives = 0
        self.stop = threading.Event()
        self.ordering = threading.Event()  # cleared: no further orders
        self.ordering.set()
        self.acts: list[tuple[int, Callable[[], object]]] = [
            (40, self.ask),
            (12, self.look_around),
            (6, self.see_gallery),
            (8, self.cancel_one),
            (5, self.delete_one),
            (8, self.download_one),
            (6, self.mark_one),
            (4, self.collect),
            (4, self.bin_one),
            (6, self.ask_with_start),
            (4, self.ask_again),
            (3, self.redeem),
            (1, self.leave),
        ]

    def run(self) -> None:
        """One act after the other, with time to think between them."""
        while not self.stop.wait(self.rng.uniform(*THINK_S)):
            try:
                if not self.is_in and not self.come():
                    continue
                weights, acts = zip(*self.acts, strict=True)
                self.rng.choices(acts, weights)[0]()
            except Away as error:
                self.diary.note("away", who=self.who, why=str(error))
            except SignedOut:
                self.diary.note("signed_out", who=self.who)
                self.browser.cookies.pop("sessionid", None)

    def come(self) -> bool:
        """Whether they are in: signed in again, or signed up for the first time."""
        if self.email and self.email not in self.book.closed:
            return self.sign_in(PASSWORD) or self.sign_up(self.email)
        self.lives += 1
        with self.lock:
            self.view.clear()
        return self.sign_up(f"{self.who}-{self.lives}@example.org")

    def fields(self) -> dict[str, str]:
        """A small order, of a few seconds' work."""
        return {
            "prompt": self.rng.choice(WORDS),
            "negative_prompt": "people",
            "model": "tiny",
            "width": str(SIDE_PX),
            "height": str(SIDE_PX),
            "steps": str(self.rng.randint(15, 60)),  # so that most faults meet one
            "guidance_scale": "5",
            "sampler": self.rng.choice(("ddim", "euler", "dpmpp_2m")),
            "count": str(self.rng.randint(1, 3)),
        }

    def key(self) -> str:
        """A form's key."""
        return f"{self.rng.getrandbits(128):032x}"

    def ask(self, **more: str) -> None:
        """Orders, unless enough is waiting already."""
        if not self.listens:
            self.look()
        if self.ordering.is_set() and len(self.images("queued", "running")) < MOST_LIVE:
            self.order(self.key(), {**self.fields(), **more})

    def ask_with_start(self) -> None:
        """Uploads an image, and orders one that is made of it."""
        file = io.BytesIO()
        colour = tuple(self.rng.randrange(256) for _ in range(3))
        Picture.new("RGB", (SIDE_PX, SIDE_PX), colour).save(file, "PNG")
        answer = self.browser.post_file("/uploads/", {"kind": "start"}, file.getvalue())
        if answer.status == HTTPStatus.CREATED:
            start = str(answer.json()["id"])
            self.ask(mode="image", start=start, strength="0.6")

    def ask_again(self) -> None:
        """The same image once more, as the button below it orders."""
        if stored := self.images("stored"):
            self.ask(again=self.rng.choice(stored), count="1")

    def look_around(self) -> None:
        """Pages that people open."""
        paths = ("/", "/gallery/", "/credits/", "/collections/", "/account/", "/prices/")
        self.page(self.rng.choice(paths))

    def see_gallery(self) -> None:
        """The wall with its thumbnails, which a browser fetches side by side."""
        self.page("/gallery/")
        paths = [f"/images/{one}/thumbnail/" for one in self.images("stored")[-THUMBNAILS:]]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as tabs:
            list(tabs.map(self.fetch, paths))

    def fetch(self, path: str) -> None:
        """A file of a stored image, which is there for its owner."""
        with contextlib.suppress(Away):
            answer = self.browser.get(path, accept="image/*")
            if answer.status == HTTPStatus.NOT_FOUND:
                self.book.complain(f"{self.who}: {path} of a stored image is not found")

    def cancel_one(self) -> None:
        """One that is waiting or being generated; it may end first."""
        if live := self.images("queued", "running"):
            chosen = self.rng.choice(live)
            with self.book.lock:
                self.book.cancelled.add(chosen)
            self.browser.post(f"/images/{chosen}/cancellation/", {})

    def delete_one(self) -> None:
        """For good."""
        if stored := self.images("stored"):
            chosen = self.rng.choice(stored)
            with self.book.lock:
                self.book.deleted.add(chosen)
            self.forget(chosen)
            self.browser.post(f"/images/{chosen}/deletion/", {})

    def download_one(self) -> None:
        """A stored image is there for its owner."""
        if stored := self.images("stored"):
            self.fetch(f"/images/{self.rng.choice(stored)}/file/")

    def mark_one(self) -> None:
        """As a favourite, or as none."""
        if stored := self.images("stored"):
            fields = {"image": self.rng.choice(stored), "on": self.rng.choice("01")}
            self.browser.post("/gallery/favourites/", fields)

    def collect(self) -> None:
        """A new collection, with an image in it."""
        if stored := self.images("stored"):
            fields = {"name": self.key()[:8], "image": self.rng.choice(stored)}
            self.browser.post("/collections/", fields)

    def bin_one(self) -> None:
        """Into the bin, and out of it again."""
        if stored := self.images("stored"):
            chosen = {"image": self.rng.choice(stored)}
            self.browser.post("/gallery/bin/", chosen)
            self.browser.post("/gallery/bin/restoration/", chosen)

    def redeem(self) -> None:
        """A code that was given out; a lost answer is asked for again."""
        if not self.codes:
            return
        used = (self.rng.choice(self.codes), self.email)
        if used in self.book.redeemed:
            return
        with self.book.lock:
            self.book.redeemed[used] = False
        answer = self.until_known(
            lambda: self.browser.post("/credits/redeem/", {"code": used[0]}, accept="text/html")
        )
        with self.book.lock:
            self.book.redeemed[used] = answer is not None and answer.status == HTTPStatus.FOUND

    def leave(self) -> None:
        """Deletes the account; somebody else comes then."""
        with self.book.lock:
            self.book.closed.add(self.email)
        answer = self.until_known(lambda: act_with_password(self.browser, "/account/deletion/", {}))
        self.diary.note("left", who=self.who, email=self.email, answer=answer and answer.status)
        self.browser.cookies.clear()
