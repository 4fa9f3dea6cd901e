"""What a studio sends to its bucket, counted, or refused in the bucket's place."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse

BUCKET = "pictures"
KEYS = {"access_key": "an-access-key", "secret_key": "a-secret-key"}


class Refusal:
    """The body of an answer, as botocore reads it."""

    def __init__(self, code: str) -> None:
        self.body = f"<Error><Code>{code}</Code><Message>refused</Message></Error>".encode()

    def stream(self, *_words: object, **_options: object) -> Iterator[bytes]:
        yield self.body


class BucketCalls:
    """Every request that the studio sends to its bucket, tries again too; `refusal` (status, code)
    is what those of the method `refused`, "" for all, are answered with in place of the bucket."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self.refused = ""

    def __call__(self, request: Any, **_words: object) -> AWSResponse | None:
        self.sent.append(f"{request.method} {urlsplit(request.url).path}")
        if self.refusal is None or self.refused not in {"", request.method}:
            return None
        status, code = self.refusal
        return AWSResponse(request.url, status, {}, Refusal(code))

    @property
    def count(self) -> int:
        """How many since the last time."""
        sent, self.sent = self.sent, []
        return len(sent)
