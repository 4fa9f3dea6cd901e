"""`make demo`: a whole studio in a temporary folder, one stranger, one picture, then it stops.

Everything goes through the doors that people use: sign-up and the request over HTTP, the books
through `manage.py check_credits`. Exit 0 where the picture was stored and the books are clean.
"""

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
KEPT = PROJECT / "var" / "demo" / "picture.png"
PASSWORD = uuid.uuid4().hex
START_TIMEOUT_S = 180
IMAGE_TIMEOUT_S = 180
STOP_TIMEOUT_S = 90
PROMPT = "a fox at dusk, storybook illustration"
NEGATIVE_PROMPT = "people, text"


class DemoFailedError(Exception):
    """The demo could not go on; the message says where it stopped."""


class Visitor:
    """A browser without a screen: cookies, forms with their token, JSON."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, *, accept: str = "text/html") -> bytes:
        """The body; raises DemoFailedError with the status for anything but an answer."""
        return self._open(urllib.request.Request(self.base_url + path, headers={"Accept": accept}))

    def post(self, path: str, fields: dict[str, str], *, accept: str = "text/html") -> bytes:
        """The body of a form's answer; the form's token comes from the cookie."""
        request = urllib.request.Request(
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
        """The cookie's value; "" where the server never set it."""
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == name), "")

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            with self.opener.open(request, timeout=30) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            raise DemoFailedError(f"{request.full_url} answered {error.code}: {detail}") from error
        except OSError as error:
            raise DemoFailedError(f"{request.full_url} did not answer: {error}") from error


def main() -> int:
    """Exit status 0 or 1."""
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-demo-") as folder:
            run_demo(Path(folder))
    except DemoFailedError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def run_demo(folder: Path) -> None:
    """The whole story, told as it goes; raises DemoFailedError."""
    environment = demo_environment(folder)
    port = free_port()
    print("Starting a studio of its own (PostgreSQL, Valkey, web, worker) ...", flush=True)
    with running_stack(folder, port, environment):
        offer_a_model(folder, environment)
        visitor = Visitor(f"http://127.0.0.1:{port}")
        sign_up(visitor)
        print(f"A stranger signed up and has {balance(visitor)} credits.", flush=True)
        started = time.monotonic()
        image_id = request_image(visitor)
        wait_until_stored(visitor, image_id)
        seconds = time.monotonic() - started
        print(f"Picture:  {keep_picture(visitor, image_id)}")
        print(f"Seconds:  {seconds:.1f} from the click to the gallery")
        print(f"Balance:  {balance(visitor)} credits")
        if balance(visitor) != "199.80":
            raise DemoFailedError("one image should have cost 0.20 of 200 credits")
        print(manage(environment, "check_credits").strip(), flush=True)
    print("Stopped. Only the picture is left.")


def demo_environment(folder: Path) -> dict[str, str]:
    """The caller's environment without anything that would lead to the caller's own studio."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DARKROOM_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return {**kept, "DARKROOM_VAR": str(folder / "var"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running_stack(folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    """The stack from the first page served until everything has stopped."""
    log = folder / "up.log"
    with log.open("wb") as output:
        stack = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "webapp.embedded", "up", "--port", str(port)],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(stack, log)
        yield
    except DemoFailedError:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(STOP_TIMEOUT_S)


def wait_until_ready(stack: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the first page was served; raises DemoFailedError otherwise."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while "Darkroom is ready" not in log.read_text(errors="replace"):
        if stack.poll() is not None:
            raise DemoFailedError("the stack stopped while starting")
        if time.monotonic() > deadline:
            raise DemoFailedError(f"the stack did not start within {START_TIMEOUT_S} s")
        time.sleep(0.1)


def offer_a_model(folder: Path, environment: dict[str, str]) -> None:
    """Where no model is on offer yet, a tiny one with random weights is built and offered."""
    if re.search(r"^on ", manage(environment, "models", "list"), re.MULTILINE):
        return
    target = folder / "tiny"
    run([sys.executable, "-m", "worker.pipelines.tiny", str(target)], environment)
    manage(environment, "models", "add", str(target), "--steps", "20", "--enable")
    print("No model is installed: a tiny one with random weights draws (abstract) pictures.")


def sign_up(visitor: Visitor) -> None:
    """A new person, signed in."""
    visitor.get("/accounts/signup/")
    email = f"demo-{uuid.uuid4().hex[:8]}@example.org"
    visitor.post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    if not visitor.cookie("sessionid"):
        raise DemoFailedError("the sign-up form did not sign anybody in")


def balance(visitor: Visitor) -> str:
    """The balance as the studio's own pages read it."""
    state = json.loads(visitor.get("/studio/state/", accept="application/json"))
    return str(state["balance"]["available"])


def request_image(visitor: Visitor) -> str:
    """The id of the one image asked for."""
    page = visitor.get("/").decode()
    model = re.search(r'<option[^>]* value="([^"]+)"', page[page.index('name="model"') :])
    fields = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE_PROMPT,
        "count": "1",
        "seed": "7",
        "idempotency_key": uuid.uuid4().hex,
    }
    if model:
        fields["model"] = model[1]
    answer = json.loads(visitor.post("/generations/", fields, accept="application/json"))
    found = re.search(r'data-image="([0-9a-f-]{36})"', answer["html"])
    if not found:
        raise DemoFailedError("the answer names no image")
    return found[1]


def wait_until_stored(visitor: Visitor, image_id: str) -> None:
    """Polls as a page without an event stream would; raises DemoFailedError where it fails."""
    deadline = time.monotonic() + IMAGE_TIMEOUT_S
    while time.monotonic() < deadline:
        state = json.loads(visitor.get(f"/studio/state/?ids={image_id}", accept="application/json"))
        image = next(image for image in state["images"] if image["id"] == image_id)
        if image["state"] == "stored":
            return
        if image["state"] in {"failed", "cancelled"}:
            raise DemoFailedError(f"the image {image['state']}: {image['failure']}")
        time.sleep(0.2)
    raise DemoFailedError(f"no image within {IMAGE_TIMEOUT_S} s")


def keep_picture(visitor: Visitor, image_id: str) -> Path:
    """Where the owner's PNG, whose text must name the prompt, was kept for a look."""
    png = visitor.get(f"/images/{image_id}/file/", accept="image/png")
    if not png.startswith(b"\x89PNG") or PROMPT.encode() not in png:
        raise DemoFailedError("the stored file is not a PNG that carries its prompt")
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_bytes(png)
    return KEPT


def manage(environment: dict[str, str], *arguments: str) -> str:
    """What a management command printed; raises DemoFailedError with its complaint."""
    return run([sys.executable, str(PROJECT / "manage.py"), *arguments], environment)


def run(command: list[str], environment: dict[str, str]) -> str:
    """The command's output; raises DemoFailedError where it fails."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and modules
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DemoFailedError((done.stdout + done.stderr).strip()[-2000:])
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
