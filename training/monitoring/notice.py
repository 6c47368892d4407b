"""What a notice says, in plain text for every channel alike. No patient data: findings are about groups and figures.

Titles and texts are taken as they are found, so nothing in them may act: a title goes into a mail's header, where a
line break would begin another one, and into chats, where `@channel` would call everybody.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

SUBJECT = "[ECG]"
LONGEST_TITLE = 150  # characters; mail programs and chats show fewer
LONGEST_TEXT = 2000
# Control characters, direction marks and other invisible ones, halves of characters, line and paragraph separators.
UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
RESOLVED, WORSENED, TEST = "resolved", "worsened", "test"
# Between @ and a name it keeps a chat from seeing a mention (U+200B); people see nothing.
APART = "\u200b"


class AlertSeen(Protocol):
    """`audit.monitoring_records.Alert`, as a notice shows it."""

    @property
    def key(self) -> str:
        """Begins with the kind of report, `bias:sex`."""
        ...

    @property
    def severity(self) -> str:
        """The worst since it opened."""
        ...

    @property
    def title(self) -> str:
        """In a few words."""
        ...

    @property
    def text(self) -> str:
        """In figures."""
        ...

    @property
    def opened_at(self) -> datetime:
        """Since when, aware."""
        ...

    @property
    def seen_at(self) -> datetime:
        """When it was found last, aware."""
        ...

    @property
    def resolved_at(self) -> datetime | None:
        """None while it is open."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """title: one line. body: several. tone: a word of `audit.monitoring_records.Severity`, or `resolved`, `test`."""

    title: str
    body: str
    tone: str

    @property
    def for_chat(self) -> "Message":
        """Without mentions."""
        return Message(self.title.replace("@", f"@{APART}"), self.body.replace("@", f"@{APART}"), self.tone)


def message(alert: AlertSeen, event: str, public_url: str | None) -> Message:
    """event: a word of `audit.monitoring_records.NoticeEvent`. Says how things are when it is sent: an alert that ended
    before its opening could be told is told as one that is over."""
    word = {RESOLVED: "Resolved", WORSENED: f"{alert.severity.upper()}, was milder"}.get(event, alert.severity.upper())
    title = one_line(alert.title, LONGEST_TITLE)
    lines = [
        title,
        "",
        one_line(alert.text, LONGEST_TEXT),
        "",
        f"Severity: {alert.severity}",
        f"Open since: {_at(alert.opened_at)}",
        f"Found last: {_at(alert.seen_at)}",
    ]
    if alert.resolved_at is not None:
        lines.append(f"Over since: {_at(alert.resolved_at)}")
    if public_url is not None:
        place = f"{public_url.rstrip('/')}/monitoring"
        lines += ["", f"Report: {place}/{alert.key.partition(':')[0]}", f"Open alerts: {place}/alerts"]
    return Message(f"{SUBJECT} {word}: {title}", "\n".join(lines), RESOLVED if event == RESOLVED else alert.severity)


def trial(at: datetime) -> Message:
    """To try a channel with."""
    body = f"This is a test of the alerts of the ECG service, sent at {_at(at)}. Nothing has happened."
    return Message(f"{SUBJECT} Test", body, TEST)


def one_line(text: str, longest: int) -> str:
    """The text without line breaks and invisible characters, cut to its first characters."""
    seen = "".join(" " if unicodedata.category(sign) in UNSEEN else sign for sign in text)
    line = " ".join(seen.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
