"""One notice to one channel, through apprise, which is imported on first use.

apprise gives True or False and tells its log why, in sentences that quote addresses with their secrets. So its log goes
nowhere, and what it says during a send becomes the reason, with the secrets taken out.
"""

import logging
import re
import warnings
from collections.abc import Iterable
from functools import cache
from threading import get_ident
from types import ModuleType, TracebackType
from typing import Any, Self

from inference.errors import ConfigurationError
from training.monitoring.channels import SENDER_NAME, Channel
from training.monitoring.notice import Message, one_line

MASK = "****"
LONGEST_REASON = 300  # characters
# What apprise tells at DEBUG of a failure; the rest of that level is addresses and messages.
_DETAILS = ("Socket Exception:", "I/O Exception:", "Response Details:")
_PATH = re.compile(r"Max retries exceeded with url: \S+ ?")
# Of a message's tone; apprise has words and colours of its own.
_TYPES = {"critical": "failure", "warning": "warning", "info": "info", "resolved": "success", "test": "info"}


class NotSent(Exception):
    """Why a message did not reach its channel, without secrets."""


def send(channel: Channel, message: Message) -> None:
    """Blocks until the other side has it. Raises NotSent."""
    shown = message if channel.is_mail else message.for_chat
    with _Overheard() as heard:
        try:
            service = _service(channel)
            sent = service is not None and service.notify(  # one of its own for each send: it makes pauses between two
                body=shown.body, title=shown.title, notify_type=_TYPES[message.tone], body_format="text"
            )
        except Exception as error:  # noqa: BLE001  a hundred services, each with libraries of its own
            raise NotSent(_reason(channel, [*heard.lines, f"{type(error).__name__}: {error}"])) from None
    if not sent:
        raise NotSent(_reason(channel, heard.lines))


def checked(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """The same. Raises ConfigurationError where apprise cannot make sense of an address."""
    for channel in channels:
        with _Overheard() as heard:
            service = _service(channel)
        if service is None:
            raise ConfigurationError(f"channel {channel.name}: {_reason(channel, heard.lines)}")
    return channels


class _Overheard(logging.Handler):
    """What apprise logs in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        of_use = record.levelno >= logging.WARNING or text.startswith(_DETAILS)
        if record.thread == self._thread and of_use:
            self.lines.append(text)

    def __enter__(self) -> Self:
        _apprise()
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        logging.getLogger("apprise").removeHandler(self)


@cache
def _apprise() -> ModuleType:
    """With all its services loaded: half a second and 40 MB."""
    own = logging.getLogger("apprise")
    own.propagate = False
    own.setLevel(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # at DEBUG it prints the path of every request
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports some is on its way out
        import apprise
        from apprise.manager_plugins import NotificationManager

        NotificationManager().load_modules()  # type: ignore[no-untyped-call]
    return apprise


def _service(channel: Channel) -> Any:
    """apprise's `NotifyBase`, or None where it cannot make one."""
    apprise = _apprise()
    # No redirect: a message goes where its channel says. No picture: it would be loaded from elsewhere.
    asset = apprise.AppriseAsset(app_id=SENDER_NAME, http_redirects=False, image_url_mask="")
    given = channel.service if isinstance(channel.service, str) else dict(channel.service)
    return apprise.Apprise.instantiate(given, asset=asset)


def _reason(channel: Channel, lines: Iterable[str]) -> str:
    text = _PATH.sub("", "; ".join(lines)) or "no reason was given"
    for secret in sorted(channel.secrets, key=len, reverse=True):
        text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    return one_line(text, LONGEST_REASON)
