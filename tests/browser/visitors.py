"""People with browsers, who write down whatever their pages complain about."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from webapp.accounts.models import User

# A violation of the policy is told to the page alone: say it where the test listens.
TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));"""


@dataclass
class LiveStudio:
    """Where the studio listens, and where it keeps its images."""

    url: str
    media: Path


@dataclass
class Visitors:
    """Opens pages for people; every page's complaints are collected."""

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def context(self, user: User | None = None, **options: Any) -> BrowserContext:
        """A fresh browser profile, signed in as `user` if one is given."""
        context = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(20_000)
        context.add_init_script(TELL_VIOLATIONS)
        if user is not None:
            client = Client()
            client.force_login(user)
            value = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": value, "url": self.url}])
        self.contexts.append(context)
        return context

    def open(self, path: str, user: User | None = None, **options: Any) -> Page:
        """A page at `path` in a fresh profile."""
        return self.tab(self.context(user, **options), path)

    def tab(self, context: BrowserContext, path: str) -> Page:
        """A further page in a profile."""
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.goto(path)
        return page

    def _heard(self, kind: str, text: str) -> None:
        is_expected = any(part in text for part in self.expected)
        if kind in {"error", "warning"} and not is_expected:
            self.complaints.append(text)

    def expect_status(self, status: int) -> None:
        """Chromium writes every refused request into the console: this one is meant to be."""
        self.expected.append(f"the server responded with a status of {status}")

    def leave(self) -> None:
        """Closes every profile."""
        for context in self.contexts:
            context.close()


def wait_until_heard(page: Page) -> None:
    """Waits until the page's event stream is open: what is sent from now on arrives."""
    expect(page.locator("html[data-stream=open]")).to_be_attached()


def wait_for(page: Page, condition: str, arg: object = None, *, seconds: float = 15.0) -> None:
    """Waits until `condition`, JavaScript, holds for `arg`.

    Not `page.wait_for_function`: it evaluates strings in the page, which our policy refuses.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition, arg):
        assert time.monotonic() < end, f"This does not come true: {condition}"
        page.wait_for_timeout(50)
