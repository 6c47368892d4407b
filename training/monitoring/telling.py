"""Sends what is due: the command, the pipeline and the running service all do it by this.

Round by round each channel gets its oldest notice, all channels at once, so that one that hangs holds up nobody for
longer than a round. A channel that fails is left alone until the next time. Nothing is sent inside a transaction: a
notice is claimed, sent, settled.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Protocol, TypeVar

from training.monitoring.channels import Channel
from training.monitoring.notice import AlertSeen, Message, message
from training.monitoring.sending import NotSent, send

SEND_SECONDS = 60.0  # a mail server may take 15 s for each of its answers
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)  # so soon after a channel is back it gets what waits
MAX_ATTEMPTS = 100  # with these pauses about a day

SENT, RETRY, DEAD = "sent", "retry", "dead"
OUTCOMES = (SENT, RETRY, DEAD)


class NoticeSeen(Protocol):
    """What is asked of `audit.monitoring_records.Notice`."""

    @property
    def event(self) -> str:
        """What it tells."""
        ...

    @property
    def attempts(self) -> int:
        """Those that were begun, with the one that it was claimed for."""
        ...


N = TypeVar("N", bound=NoticeSeen)


class Queue(Protocol[N]):
    """What waits, as `audit.notices.NoticeQueue` has it."""

    def claim(self, channel: str) -> tuple[N, AlertSeen] | None:
        """Begin an attempt at the oldest notice to a channel that is due; None where none is."""
        ...

    def sent(self, notice: N) -> None:
        """The attempt succeeded."""
        ...

    def failed(self, notice: N, reason: str, pause: timedelta | None) -> None:
        """It did not: try again after a pause, or None: never."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one attempt. outcome: of OUTCOMES. reason: why it failed, without secrets."""

    channel: str
    event: str
    key: str
    outcome: str
    reason: str | None = None

    def __str__(self) -> str:
        what = f"{self.key} {self.event} to {self.channel}: "
        return what + {SENT: "sent", RETRY: f"not sent, will be tried again: {self.reason}"}.get(
            self.outcome, f"not sent, given up: {self.reason}"
        )


def pause_after(attempts: int) -> timedelta:
    """How long to wait after that many failures: doubling, bounded."""
    return min(FIRST_PAUSE * (1 << min(attempts - 1, 20)), LONGEST_PAUSE)


def send_due(
    queue: Queue[N], channels: Sequence[Channel], public_url: str | None, *, seconds: float = SEND_SECONDS
) -> Iterator[Told]:
    """Send what is due and give what came of it, each when it is settled. public_url: of the service, for links.
    seconds: for one send. Raises what the queue raises."""
    willing: Sequence[Channel] = channels
    while willing:
        taken = {channel: found for channel in willing if (found := queue.claim(channel.name)) is not None}
        messages = {to: message(alert, notice.event, public_url) for to, (notice, alert) in taken.items()}
        willing = []
        for channel, reason in send_at_once(messages, seconds=seconds):
            notice, alert = taken[channel]
            if reason is None:
                queue.sent(notice)
                willing.append(channel)
                yield Told(channel.name, notice.event, alert.key, SENT)
            else:
                pause = pause_after(notice.attempts) if notice.attempts < MAX_ATTEMPTS else None
                queue.failed(notice, reason, pause)
                yield Told(channel.name, notice.event, alert.key, DEAD if pause is None else RETRY, reason)


def send_at_once(
    messages: Mapping[Channel, Message],
    *,
    seconds: float = SEND_SECONDS,
    send: Callable[[Channel, Message], None] = send,
) -> Iterator[tuple[Channel, str | None]]:
    """Each message to its channel, all at once; gives each channel when it is done, and why it failed. One that takes
    longer than that is left behind, and counts as failed."""
    done: SimpleQueue[tuple[Channel, str | None]] = SimpleQueue()

    def run(channel: Channel, text: Message) -> None:
        try:
            send(channel, text)
        except NotSent as error:
            done.put((channel, str(error)))
        else:
            done.put((channel, None))

    for channel, text in messages.items():
        # The end of the process does not wait for it.
        Thread(target=run, args=(channel, text), name=f"notice-{channel.name}", daemon=True).start()
    missing, end = set(messages), monotonic() + seconds
    while missing:
        try:
            channel, reason = done.get(timeout=max(end - monotonic(), 0))
        except Empty:
            yield from ((late, f"no answer within {seconds:g} s") for late in sorted(missing, key=lambda c: c.name))
            return
        missing.discard(channel)
        yield channel, reason
