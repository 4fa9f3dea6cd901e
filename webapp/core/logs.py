"""The two forms of a line in the log; what each belongs to comes from `core.trail`."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from webapp.core.trail import current_trail


class TextFormatter(logging.Formatter):
    """For people: the time, the level, the room, the sentence, and what it belongs to behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without its traceback, which follows."""
        facts = current_trail().facts().items()
        told = " ".join(f"{name}={fact}" for name, fact in facts)
        return super().formatMessage(record) + (f" [{told}]" if told else "")


class JsonFormatter(logging.Formatter):
    """For programs: one object a line, whatever the sentence contains."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; `exception` is the traceback, if there is one."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            "thread": record.threadName,
            **current_trail().facts(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return json.dumps(told)
