"""A page that is open: the event stream, and what `static/js/stream.js` does when it is not."""

import contextlib
import http.client
import json
import threading
import time

from tests.chaos.browser import Away
from tests.chaos.visitor import Visitor

POLL_S = 4.0
SURE_FOR_S = 60.0  # a stream whose network went away without a word looks open
SILENCE_S = 20.0  # the server says something every 15 seconds
RETRY_S = 2.0


class Listener(threading.Thread):
    """Keeps a visitor's view as a browser would."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(name=f"{visitor.who} listens", daemon=True)
        self.visitor = visitor
        visitor.listens = True
        self.stop = threading.Event()
        self.asked_at = 0.0

    def run(self) -> None:
        """Until `stop`: listen, and catch up whenever the stream begins or ends."""
        while not self.stop.wait(RETRY_S):
            if not self.visitor.is_in:
                continue
            with contextlib.suppress(Away):
                self.listen()
            self.catch_up()

    def listen(self) -> None:
        """One stream, until it ends; raises Away."""
        session = self.visitor.browser.cookies.get("sessionid")
        answer = self.visitor.browser.open_stream("/events/", timeout_s=SILENCE_S)
        with contextlib.closing(answer):
            self.catch_up()
            event = b""
            while not self.stop.is_set():
                line = self.line(answer)
                if line.startswith(b"event: "):
                    event = line.removeprefix(b"event: ").strip()
                elif line.startswith(b"data: ") and self.hear(event, line[6:]):
                    return
                if time.monotonic() - self.asked_at > SURE_FOR_S:
                    self.catch_up()
                if session != self.visitor.browser.cookies.get("sessionid"):
                    return  # somebody else is signed in here now

    def line(self, answer: http.client.HTTPResponse) -> bytes:
        """The next one; raises Away when the stream has ended, or is silent for too long."""
        try:
            line = answer.readline()
        except (OSError, ValueError) as error:
            raise Away(str(error)) from error
        if not line:
            raise Away("the stream ended")
        return line

    def hear(self, event: bytes, data: bytes) -> bool:
        """Takes an event in; True when another page took the stream."""
        if event == b"resync":
            self.catch_up()
        if event == b"image":
            facts = json.loads(data)
            with self.visitor.lock:
                self.visitor.view[facts["id"]] = facts["state"]
        return event == b"replaced"

    def catch_up(self) -> None:
        """Asks until it is answered, as the page polls while something is wrong."""
        while not self.stop.is_set():
            try:
                self.visitor.look()
            except Away:
                self.stop.wait(POLL_S)
            else:
                self.asked_at = time.monotonic()
                return
