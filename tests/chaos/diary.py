"""The log of a run: one line of JSON for each request, fault and finding, with its seconds."""

import json
import threading
import time
from pathlib import Path
from typing import Any


class Diary:
    """Written by every thread; `now` counts the seconds since the run began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self.requests = 0
        self.answers: dict[str, int] = {}

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    def note(self, what: str, **facts: Any) -> None:
        """One line."""
        line = json.dumps({"at": round(self.now(), 3), "what": what, **facts}, default=str)
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def note_request(self, who: str, method: str, path: str, answer: object, took_s: float) -> None:
        """One line for a request; `answer` is its status, or what kept it from coming."""
        with self._lock:
            self.requests += 1
            kind = str(answer).split(":")[0]
            self.answers[kind] = self.answers.get(kind, 0) + 1
        facts = {"who": who, "request": f"{method} {path}", "answer": answer}
        self.note("request", **facts, took_s=round(took_s, 3))

    def say(self, sentence: str, **facts: Any) -> None:
        """A line for the terminal, too."""
        print(f"[{self.now():7.1f}] {sentence}", flush=True)
        self.note("said", sentence=sentence, **facts)

    def close(self) -> None:
        """The last line was written."""
        with self._lock:
            self._file.close()
