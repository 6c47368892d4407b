"""The log: one JSON object a line on stderr, with the correlation id of the request, never with patient data.

Messages are written by us and name things by our own ids. What others supply may carry patient data: the text of an
exception (a ValueError quotes the value) and the URLs in an access log (`?subject=Patient/1`). So an exception is
logged by type and place only, and the loggers that print URLs are silent below WARNING.
"""

import logging
import logging.config
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import uuid4

import orjson

NO_CORRELATION = "-"
correlation: ContextVar[str] = ContextVar("correlation_id", default=NO_CORRELATION)

# uvicorn.access and the HTTP clients print URLs at INFO, and a URL may name a patient.
URL_LOGGERS = ("uvicorn.access", "httpx", "httpcore")
MAX_FRAMES = 20  # the innermost of each exception; deeper ones are frameworks
STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def new_correlation_id() -> str:
    """A random id for a request that came without one."""
    return uuid4().hex


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Fields given by `extra=` come along under their own names."""

    def format(self, record: logging.LogRecord) -> str:
        """time (UTC), level, logger, message, correlation_id, extra fields; `exception` without its text."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": correlation.get(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = [_described(error) for error in _chain(record.exc_info[1])]
        return orjson.dumps(line, default=str).decode()


def configure(level: str) -> None:
    """Send every log record to stderr as JSON, from `level` (DEBUG, INFO, WARNING, ERROR) on."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {name: {"level": "WARNING"} for name in URL_LOGGERS},
        }
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _described(error: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
