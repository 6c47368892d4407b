"""What is due goes out: real servers, and a queue in memory that does as the store's."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic

from tests.fakes import NOW
from tests.receivers import WebhookServer
from tests.training.monitoring.test_notice import Alert
from training.monitoring.channels import Channel
from training.monitoring.notice import trial
from training.monitoring.telling import (
    DEAD,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_ATTEMPTS,
    RETRY,
    SENT,
    pause_after,
    send_at_once,
    send_due,
)


@dataclass(frozen=True)
class Notice:
    key: str
    event: str = "opened"
    attempts: int = 1


@dataclass
class Queue:
    """waiting: by channel. settled: of each attempt the notice, and None or reason and pause."""

    waiting: dict[str, list[Notice]]
    settled: list[tuple[str, tuple[str, timedelta | None] | None]] = field(default_factory=list)

    def claim(self, channel: str) -> tuple[Notice, Alert] | None:
        found = self.waiting.get(channel)
        if not found:
            return None
        notice = found.pop(0)
        return notice, replace(Alert(), key=notice.key, title=notice.key)

    def sent(self, notice: Notice) -> None:
        self.settled.append((notice.key, None))

    def failed(self, notice: Notice, reason: str, pause: timedelta | None) -> None:
        self.settled.append((notice.key, (reason, pause)))


def hook(server: WebhookServer, name: str = "hook") -> Channel:
    return Channel(name=name, least="info", service=f"json://{server.address}/")


def titles(server: WebhookServer) -> list[str]:
    return [body["title"].removeprefix("[ECG] WARNING: ") for body in server.bodies]


def test_each_channel_gets_all_that_is_due_oldest_first() -> None:
    queue = Queue({"one": [Notice("a"), Notice("b")], "other": [Notice("a")]})
    with WebhookServer().listening() as one, WebhookServer().listening() as other:
        told = list(send_due(queue, [hook(one, "one"), hook(other, "other")], None))
    assert (titles(one), titles(other)) == (["a", "b"], ["a"])
    assert sorted(queue.settled) == [("a", None), ("a", None), ("b", None)]
    assert {(one.channel, one.key, one.outcome) for one in told} == {
        ("one", "a", SENT), ("one", "b", SENT), ("other", "a", SENT),
    }  # fmt: skip


def test_a_channel_that_fails_is_left_alone_until_the_next_time_and_holds_up_no_other() -> None:
    queue = Queue({"bad": [Notice("a"), Notice("b")], "good": [Notice("a"), Notice("b")]})
    with WebhookServer((500, b"")).listening() as bad, WebhookServer().listening() as good:
        told = list(send_due(queue, [hook(bad, "bad"), hook(good, "good")], None))
    assert (len(bad.arrived), titles(good)) == (1, ["a", "b"])
    assert queue.waiting == {"bad": [Notice("b")], "good": []}
    (failed,) = (one for one in told if one.outcome != SENT)
    assert (failed.outcome, failed.channel, "500" in (failed.reason or "")) == (RETRY, "bad", True)
    assert str(failed).startswith("a opened to bad: not sent, will be tried again: Failed to send JSON")


def test_pauses_grow_and_end_and_then_the_notice_is_dead() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE
    assert timedelta(hours=22) < sum(pauses, timedelta()) < timedelta(hours=26)
    nobody = hook(WebhookServer())
    for attempts, outcome, pause in ((MAX_ATTEMPTS - 1, RETRY, LONGEST_PAUSE), (MAX_ATTEMPTS, DEAD, None)):
        queue = Queue({"hook": [Notice("a", attempts=attempts)]})
        (told,) = send_due(queue, [nobody], None)
        ((_, failed),) = queue.settled
        assert told.outcome == outcome
        assert failed is not None
        assert ("Connection refused" in failed[0], failed[1]) == (True, pause)
    assert str(told).startswith("a opened to hook: not sent, given up: ")


def test_one_that_hangs_is_left_behind_and_the_others_are_settled_meanwhile() -> None:
    queue = Queue({"slow": [Notice("slow")], "good": [Notice("good")]})
    release = threading.Event()
    try:
        with WebhookServer(hangs=release).listening() as slow, WebhookServer().listening() as good:
            began = monotonic()
            sending = send_due(queue, [hook(slow, "slow"), hook(good, "good")], None, seconds=0.8)
            assert (next(sending).channel, monotonic() - began < 0.8) == ("good", True)
            (late,) = sending
            assert (late.channel, late.outcome, late.reason) == ("slow", RETRY, "no answer within 0.8 s")
            assert monotonic() - began < 2
            release.set()
    finally:
        release.set()


def test_all_are_sent_at_once() -> None:
    both = threading.Barrier(2, timeout=5)
    send: Callable[[Channel, object], None] = lambda channel, message: (both.wait(), None)[1]  # noqa: E731
    channels = [Channel(name=name, least="info", service="json://x") for name in ("a", "b")]
    assert dict(send_at_once(dict.fromkeys(channels, trial(NOW)), send=send)) == dict.fromkeys(channels)
