"""What the bench sends and hears: kept-alive connections, and the news of stored images."""

import http.client
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import psycopg
import redis

from tests.trial import Trial, TrialFailedError, Visitor
from webapp.embedded.paths import VarLayout

ANSWER_TIMEOUT_S = 30.0
KEPT_ALIVE_S = 4.0  # uvicorn closes a connection that was silent for five seconds


class Connection:
    """One connection of a signed-in visitor, kept alive as a browser keeps it."""

    def __init__(self, trial: Trial, visitor: Visitor) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", trial.port, timeout=ANSWER_TIMEOUT_S)
        self.used_at = time.monotonic()
        cookies = {name: visitor.cookie(name) for name in ("csrftoken", "sessionid")}
        self.headers = {
            "Accept": "application/json",
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
            "X-CSRFToken": cookies["csrftoken"],
        }

    def post(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        """The answer's JSON; raises TrialFailedError unless it is a success."""
        if time.monotonic() - self.used_at > KEPT_ALIVE_S:
            self.http.close()  # the next request opens it again
        self.http.request("POST", path, urlencode(fields), self.headers)
        answer = self.http.getresponse()
        body = answer.read()
        self.used_at = time.monotonic()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise TrialFailedError(f"POST {path} answered {answer.status}: {body[:300]!r}")
        return dict(json.loads(body))

    def request_image(self, fields: dict[str, str]) -> tuple[str, str]:
        """(generation id, image id) of one image asked for."""
        answer = self.post("/generations/", {**fields, "idempotency_key": uuid.uuid4().hex})
        found = re.search(r'data-image="([0-9a-f-]{36})"', answer["html"])
        if not found:
            raise TrialFailedError("the answer names no image")
        return answer["generation"], found[1]


class News:
    """Everybody's events, as the web process hears them; what was published since the start."""

    def __init__(self, trial: Trial) -> None:
        self.client = redis.Redis.from_url(VarLayout(trial.var).valkey_url(), decode_responses=True)
        self.subscription = self.client.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )
        self.subscription.psubscribe("darkroom:events:*")

    def next(self, *, timeout_s: float) -> dict[str, Any]:
        """The next event; {} when none came in time."""
        message = self.subscription.get_message(timeout=timeout_s)
        return dict(json.loads(message["data"])) if message else {}

    def wait_until_stored(self, image_id: str, *, timeout_s: float = 120.0) -> float:
        """The moment (`time.monotonic()`) of the news that the image is stored; raises
        TrialFailedError if it ended otherwise or not at all."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            event = self.next(timeout_s=1.0)
            if event.get("type") != "image" or event["id"] != image_id:
                continue
            if event["state"] == "stored":
                return time.monotonic()
            if event["state"] in {"failed", "cancelled"}:
                raise TrialFailedError(f"the image {event['state']}: {event['failure']}")
        raise TrialFailedError(f"no image within {timeout_s:g} s")

    def wait_until_drawing(self, image_id: str, *, timeout_s: float = 60.0) -> None:
        """Returns once a step of the image is done; raises TrialFailedError otherwise."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            event = self.next(timeout_s=1.0)
            if event.get("id") == image_id and event.get("step", 0) > 0:
                return
        raise TrialFailedError(f"the image was not begun within {timeout_s:g} s")

    def close(self) -> None:
        """Ends the subscription."""
        self.subscription.close()
        self.client.close()


def read_row(trial: Trial, query: str, *values: object) -> tuple[Any, ...]:
    """The one row that the trial's database answers with; raises TrialFailedError without."""
    with psycopg.connect(VarLayout(trial.var).postgres_url()) as database:
        row = database.execute(query.encode(), values).fetchone()
    if row is None:
        raise TrialFailedError(f"no row: {query}")
    return row
