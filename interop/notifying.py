"""Tells of alerts while the service runs: what the command or the pipeline could not send is tried again here.

Sending blocks, so it has a thread of its own, away from the event loop; what it asks of the store goes through the
readers and the writer like everything else. Where several processes share a database each of them does this: a notice
is claimed by one. The process ends without waiting for a mail server; what was under way is sent again after its claim.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from typing import TypeVar

from audit.notices import NoticeQueue
from audit.records import UnitOfWork
from inference.errors import ServiceError, StorageUnavailable
from interop.intake import Intake
from interop.serving import give_way
from interop.settings import Settings
from training.monitoring.channels import Channel, load_channels
from training.monitoring.sending import checked
from training.monitoring.telling import SENT, Told, send_due

T = TypeVar("T")

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0  # between two looks for what is due
STORING_PAUSE_SECONDS = 5.0  # for our own database to come back
CLOSE_SECONDS = 3.0


def channels_of(settings: Settings) -> tuple[Channel, ...]:
    """Where notices go. Raises ConfigurationError."""
    return checked(load_channels(settings.smtp_url, settings.slack_webhook, settings.alert_channels))


class NoticeWorker:
    """Runs while the service does. public_url: of the service, for links."""

    def __init__(self, intake: Intake, channels: Sequence[Channel], public_url: str | None) -> None:
        self._intake = intake
        self._channels = channels
        self._public_url = public_url
        self._queue = NoticeQueue(self._transact, intake.clock)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, where there is a channel at all."""
        if self._channels:
            self._loop = asyncio.get_running_loop()
            self._thread.start()

    async def close(self) -> None:
        """Stop; a send that is under way gets a moment to be settled."""
        self._closing.set()
        if self._loop is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _run(self) -> None:
        give_way()
        while not self._closing.wait(POLL_SECONDS):
            try:
                if self._is_due():
                    self._send()
            except ServiceError as error:
                log.warning("notices cannot be looked at", extra={"code": error.code})

    def _is_due(self) -> bool:
        """A look that costs no write."""
        names, now = [channel.name for channel in self._channels], self._intake.clock()
        return self._on_loop(lambda: self._intake.read(lambda reader: reader.alerts.is_due(names, now)))

    def _send(self) -> None:
        for one in send_due(self._queue, self._channels, self._public_url):
            note(one)
            self._intake.metrics.told(one.channel, one.outcome)
            if self._closing.is_set():
                return

    def _transact(self, job: Callable[[UnitOfWork], T]) -> T:
        """Until the store takes it: read as due again, what was sent would be sent once more."""
        while True:
            try:
                return self._on_loop(lambda: self._intake.write(job))
            except ServiceError as error:
                log.warning("state of a notice not stored", extra={"code": error.code})
                if self._closing.wait(STORING_PAUSE_SECONDS):
                    raise

    def _on_loop(self, work: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await work()

        if self._loop is None or self._loop.is_closed():
            raise StorageUnavailable("the service has ended")
        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
        except CancelledError as error:
            raise StorageUnavailable("the service ends") from error


def note(told: Told) -> None:
    """Log what came of an attempt."""
    extra = {"alert": told.key, "event": told.event, "channel": told.channel, "outcome": told.outcome}
    if told.outcome == SENT:
        log.info("alert told", extra=extra)
    else:
        log.warning("alert not told", extra=extra | {"reason": told.reason})
