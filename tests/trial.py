"""A whole studio in a folder of its own, and visitors for it: what `make demo`, `make bench` and
the fault tests try out. Everything goes through the doors that people use.
"""

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0
ANSWER_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 600.0
POLL_S = 0.05
PRICED_BY = ("model", "width", "height", "steps")
READY = "Darkroom is ready"
ENDED = frozenset({"stored", "failed", "cancelled"})


class TrialFailedError(Exception):
    """The trial could not go on; the message says where it stopped."""


class Trial:
    """One studio: its folder, its free port, and its supervisor while it runs.

    The environment is the caller's, without anything that would lead to the caller's own studio,
    and with `settings` on top. `checkout` is the folder of the sources that run: another one than
    this lets two commits be compared side by side.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, *, checkout: Path = PROJECT
    ) -> None:
        self.folder = folder
        self.checkout = checkout
        self.var = folder / "var"
        self.log = folder / "up.log"
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = own_environment(self.var, settings or {})
        self.supervisor: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The studio from the moment it is ready until everything has stopped. If the trial
        fails meanwhile, the end of the studio's log is printed."""
        try:
            self.start()
            yield
        except TrialFailedError:
            print(self.log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            self.stop()

    def start(self) -> float:
        """Starts the studio; returns the seconds until its first page was served.

        Raises TrialFailedError if it stops or is not ready in time.
        """
        with self.log.open("wb") as output:
            started = time.monotonic()
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "webapp.embedded", "up", "--port", str(self.port)],
                cwd=self.checkout,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_ready(self.supervisor)
        Visitor(self.base_url).get("/accounts/login/")
        return time.monotonic() - started

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Asks the studio to stop and returns its exit code; 0 if it does not run."""
        if self.supervisor is None:
            return 0
        self.supervisor.send_signal(number)
        code = self.supervisor.wait(STOP_TIMEOUT_S)
        self.supervisor = None
        return code

    def pid(self, service: str) -> int:
        """The process of a service (`web`, `worker`, `beat`, `postgres`, `valkey`); raises
        TrialFailedError while it does not run."""
        state = json.loads((self.var / "run-state.json").read_text(encoding="utf-8"))
        for process in state["processes"]:
            if process["name"] == service:
                return int(process["pid"])
        raise TrialFailedError(f"{service} does not run")

    def manage(self, *arguments: str) -> str:
        """What a management command printed; raises TrialFailedError with its complaint."""
        return self.run(str(self.checkout / "manage.py"), *arguments)

    def run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """What our Python printed for these arguments; raises TrialFailedError if it fails or
        does not end in time."""
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.checkout,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as error:
            raise TrialFailedError(f"{arguments[0]} did not end within {timeout_s:g} s") from error
        if done.returncode:
            raise TrialFailedError((done.stdout + done.stderr).strip()[-2000:])
        return done.stdout

    def offer_tiny_model(self, *, slug: str = "tiny", side_px: int = 128) -> Path:
        """Builds a tiny Stable Diffusion with random weights, offers it as the default, and
        returns its folder."""
        target = self.folder / slug
        self.run("-m", "worker.pipelines.tiny", str(target))
        options = ("--slug", slug, "--size", str(side_px), "--steps", "20", "--default")
        self.manage("models", "add", str(target), *options)
        return target

    def sign_up(self, name: str = "visitor") -> "Visitor":
        """A visitor with a new account, signed in. Raises TrialFailedError if that does not
        work."""
        visitor = Visitor(self.base_url)
        visitor.sign_up(email=f"{name}-{uuid.uuid4().hex[:8]}@example.org")
        return visitor

    def _wait_until_ready(self, supervisor: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while READY not in self.log.read_text(errors="replace"):
            if supervisor.poll() is not None:
                raise TrialFailedError("the studio stopped while starting")
            if time.monotonic() > deadline:
                raise TrialFailedError(f"the studio did not start within {START_TIMEOUT_S:g} s")
            time.sleep(POLL_S)


class Visitor:
    """A browser without a screen: cookies, forms with their token, JSON."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, *, accept: str = "text/html") -> bytes:
        """The body of the answer. Raises TrialFailedError if it is an error's (with its status), or
        there is none."""
        url = self.base_url + path
        return self._open(urllib.request.Request(url, headers={"Accept": accept}))  # noqa: S310

    def post(self, path: str, fields: Mapping[str, str], *, accept: str = "text/html") -> bytes:
        """The body of a form's answer; the form's token comes from the cookie. Raises
        TrialFailedError as `get` does."""
        request = urllib.request.Request(  # noqa: S310 - our own studio on this machine
            self.base_url + path,
            data=urllib.parse.urlencode(fields).encode(),
            headers={
                "Accept": accept,
                "Referer": self.base_url + path,
                "X-CSRFToken": self.cookie("csrftoken"),
            },
        )
        return self._open(request)

    def cookie(self, name: str) -> str:
        """The cookie's value; "" if the server never set it."""
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == name), "")

    def sign_up(self, *, email: str) -> None:
        """Makes an account and stays signed in; raises TrialFailedError if it does not work."""
        self.get("/accounts/signup/")
        self.post("/accounts/signup/", {"email": email, "password1": uuid.uuid4().hex})
        if not self.cookie("sessionid"):
            raise TrialFailedError("the sign-up form did not sign anybody in")

    def request_images(self, **fields: str) -> list[str]:
        """The ids of the images asked for, one unless `count` says more; the default model
        draws them. Raises TrialFailedError if the answer names none."""
        page = self.get("/").decode()
        model = re.search(r'<option[^>]* value="([^"]+)"', page[page.index('name="model"') :])
        chosen = {"model": model[1]} if model else {}
        asked = {"count": "1", "idempotency_key": uuid.uuid4().hex, **chosen, **fields}
        asked.setdefault("quoted_each_ucr", self.quote(asked))
        answer = json.loads(self.post("/generations/", asked, accept="application/json"))
        found = re.findall(r'data-image="([0-9a-f-]{36})"', answer["html"])
        if not found:
            raise TrialFailedError("the answer names no image")
        return list(dict.fromkeys(found))

    def quote(self, asked: Mapping[str, str]) -> str:
        """What one image of that costs, in micro-credits: the page's own price, and a size's own if
        it names one. Raises TrialFailedError if the page shows no price."""
        sized = {name: asked[name] for name in PRICED_BY if name in asked}
        if len(sized) == len(PRICED_BY):
            path = f"/prices/quote/?{urllib.parse.urlencode(sized)}"
            return str(json.loads(self.get(path, accept="application/json"))["price_each_ucr"])
        shown = re.search(r'name="quoted_each_ucr" value="([0-9]+)"', self.get("/").decode())
        if not shown:
            raise TrialFailedError("the studio shows no price")
        return shown[1]

    def state(self, image_ids: list[str]) -> dict[str, Any]:
        """What a page without an event stream polls: `images`, `progress` and `balance`."""
        asked = f"/studio/state/?ids={','.join(image_ids)}"
        return dict(json.loads(self.get(asked, accept="application/json")))

    def balance(self) -> str:
        """The balance as the studio's own pages read it."""
        return str(self.state([])["balance"]["available"])

    def wait_until_ended(self, image_ids: list[str], *, timeout_s: float) -> dict[str, Any]:
        """Facts by image id once each is stored, failed or cancelled; a studio that does not
        answer meanwhile is asked again. Raises TrialFailedError when the time is over."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                facts = {image["id"]: image for image in self.state(image_ids)["images"]}
            except TrialFailedError:
                facts = {}
            if facts and all(facts[one]["state"] in ENDED for one in image_ids):
                return {one: facts[one] for one in image_ids}
            time.sleep(0.1)
        raise TrialFailedError(f"not every image ended within {timeout_s:g} s")

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            with self.opener.open(request, timeout=ANSWER_TIMEOUT_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")[:500]
            raise TrialFailedError(f"{request.full_url} answered {error.code}: {detail}") from error
        except OSError as error:
            raise TrialFailedError(f"{request.full_url} did not answer: {error}") from error


def own_environment(var: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without the caller's studio, with `var` and `settings`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DARKROOM_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return {**kept, "DARKROOM_VAR": str(var), "PYTHONUNBUFFERED": "1", **settings}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
