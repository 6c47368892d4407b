"""The log: one JSON object a line on stderr, with the correlation id of the request, never with patient data.

Messages are written by us and name things by our own ids. What others supply may carry patient data: the text of an
exception (a ValueError quotes the value), that of a warning, the event loop's account of a failed callback (it quotes
the arguments) and the URLs in an access log (`?subject=Patient/1`). So exceptions and warnings are logged by type and
place only, wherever they end up, and the loggers that print URLs are silent below WARNING.
"""

import asyncio
import json
import logging
import logging.config
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from random import getrandbits
from types import TracebackType
from typing import Any, ParamSpec, TextIO, TypeVar

import orjson

P = ParamSpec("P")
T = TypeVar("T")

NO_CORRELATION = "-"
correlation: ContextVar[str] = ContextVar("correlation_id", default=NO_CORRELATION)
# Of OpenTelemetry, in hexadecimal, where traces are sent.
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)

# uvicorn.access and the HTTP clients print URLs at INFO, and a URL may name a patient.
URL_LOGGERS = ("uvicorn.access", "httpx", "httpcore")
# Alembic tells what kind of database it sees.
CHATTY_LOGGERS = ("alembic",)
MAX_FRAMES = 20  # the innermost of each exception; deeper ones are frameworks
STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


log = logging.getLogger(__name__)


def new_correlation_id() -> str:
    """A random id for a request that came without one. It must be unlike the others, not hard to guess: so the system
    is not asked, at whose every call another thread takes the interpreter."""
    return f"{getrandbits(128):032x}"


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """`work` for another thread, where what it logs keeps the correlation id that is in force here and now."""
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.run(work, *args, **kwargs)

    return run


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Fields given by `extra=` come along under their own names."""

    def format(self, record: logging.LogRecord) -> str:
        """time (UTC), level, logger, message, correlation_id, extra fields; trace_id if there is one; `exception`
        without its text."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": correlation.get(),
        }
        if (trace := trace_id.get()) is not None:
            line["trace_id"] = trace
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = [_described(error) for error in _chain(record.exc_info[1])]
        return _one_line(line)


def configure(level: str) -> None:
    """Send every log record to stderr as JSON, from `level` (DEBUG, INFO, WARNING, ERROR) on; whatever else Python
    would print there by itself, with the texts of exceptions, becomes a record too."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {name: {"level": "WARNING"} for name in (*URL_LOGGERS, *CHATTY_LOGGERS)},
        }
    )
    logging.raiseExceptions = False  # a record that cannot be written would be printed with its arguments
    sys.excepthook = _uncaught
    threading.excepthook = lambda failure: _report(failure.exc_value, thread_name=getattr(failure.thread, "name", None))
    sys.unraisablehook = lambda failure: _report(failure.exc_value)
    warnings.showwarning = warned


def log_loop_error(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """The event loop's exception handler: its own message quotes the arguments of callbacks."""
    _report(context.get("exception"))


def _report(error: BaseException | None, **extra: object) -> None:
    log.error("unhandled error", exc_info=error, extra=extra)


def _uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    _report(error)


def warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of `warnings.showwarning`: a warning by its kind and place, for its text may quote a value."""
    log.warning("a library warned", extra={"category": category.__name__, "at": f"{filename}:{lineno}"})


def _one_line(line: dict[str, object]) -> str:
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # a number over 64 bits, half of a surrogate pair
        return json.dumps(line, default=str)


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
