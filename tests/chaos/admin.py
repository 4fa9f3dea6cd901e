"""The administrator, who posts credits, changes prices and gives codes out meanwhile."""

import contextlib
import csv
import io
import random
import threading
import uuid
from http import HTTPStatus

from tests.chaos.book import Book, TopUp
from tests.chaos.browser import Away, read_form
from tests.chaos.diary import Diary
from tests.chaos.people import Person
from tests.chaos.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ChaosStack
from tests.chaos.visitor import SignedOut, Visitor, act_with_password

ACT_S = (6.0, 14.0)
UCR = 1_000_000
CODES, USES = 8, 4
CODE_UCR = 2 * UCR
PRICES = ("/admin/catalog/pricelist/next/", "/admin/catalog/pricelist/")
BATCHES = "/admin/credits/codebatch/"


class Admin(Visitor, threading.Thread):
    """Acts every ten seconds or so, by the pages of the admin site."""

    def __init__(
        self, stack: ChaosStack, people: list[Person], *, seed: int, book: Book, diary: Diary
    ) -> None:
        Visitor.__init__(self, "admin", port=stack.port, number=100, book=book, diary=diary)
        threading.Thread.__init__(self, name="admin", daemon=True)
        self.stack, self.people = stack, people
        self.rng = random.Random(f"admin:{seed}")
        self.email = ADMIN_EMAIL
        self.codes: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """One act after the other."""
        acts = [self.top_up] * 5 + [self.change_price] * 3 + [self.look_around] * 2
        while not self.stop.wait(self.rng.uniform(*ACT_S)):
            act = self.rng.choice(acts) if self.codes else self.give_codes
            try:
                if self.is_in or self.sign_in(ADMIN_PASSWORD):
                    act()
            except (Away, KeyError, StopIteration) as error:
                self.diary.note("away", who="admin", why=repr(error))
            except SignedOut:
                self.browser.cookies.pop("sessionid", None)

    def top_up(self) -> None:
        """Credits for somebody; the same form is sent until something is known."""
        person = self.rng.choice(self.people)
        user_id = self._user_id(person.email)
        if user_id is None:
            return
        key = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        credits = self.rng.randint(1, 9)
        with self.book.lock:
            self.book.top_ups[key] = TopUp(person.email, credits * UCR)
        fields = {"amount": str(credits), "reason": "chaos", "key": key}
        path = f"/admin/accounts/user/{user_id}/credits/"
        answer = self.until_known(
            lambda: act_with_password(self.browser, path, fields, ADMIN_PASSWORD)
        )
        if answer is not None and answer.location.endswith(f"/user/{user_id}/change/"):
            with self.book.lock:
                self.book.top_ups[key].is_told = True

    def change_price(self) -> None:
        """Looks at what would change, then makes it the list in force."""
        fields = read_form(self.page(PRICES[0]))
        fields["flat"] = f"0.{self.rng.randint(1, 4)}"
        looked = self.browser.post(PRICES[0], {**fields, "look": "1"}, accept="text/html")
        seen = read_form(looked.text).get("seen", "")
        if looked.status == HTTPStatus.OK and seen:
            sent = {**fields, "seen": seen, "save": "1"}
            act_with_password(self.browser, PRICES[0], sent, ADMIN_PASSWORD)

    def look_around(self) -> None:
        """Pages of the admin site."""
        pages = ("/admin/", "/admin/accounts/user/", "/admin/credits/entry/", BATCHES)
        self.page(self.rng.choice(pages))

    def give_codes(self) -> None:
        """A batch of codes for everybody."""
        fields = {
            "name": "chaos",
            "amount": str(CODE_UCR // UCR),
            "count": str(CODES),
            "uses_per_code": str(USES),
            "per_user_limit": str(CODES),
            "last_day": "",
            "batch_id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
        }
        made = self.until_known(
            lambda: act_with_password(self.browser, f"{BATCHES}make/", fields, ADMIN_PASSWORD)
        )
        if made is None or made.status != HTTPStatus.FOUND:
            return
        path = f"{BATCHES}{fields['batch_id']}/csv/"
        written = act_with_password(self.browser, path, {}, ADMIN_PASSWORD)
        lines = csv.DictReader(io.StringIO(written.text))
        self.codes.extend(line["code"] for line in lines if line.get("code"))

    def _user_id(self, email: str) -> int | None:
        with contextlib.suppress(Exception), self.stack.database() as database:
            query = "SELECT id FROM accounts_user WHERE email = %s AND is_active"
            row = database.execute(query, [email]).fetchone()
            return int(row[0]) if row else None
        return None
