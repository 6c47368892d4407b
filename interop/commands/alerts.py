"""`alerts`: what somebody has to look at, and whether they were told."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.table import Table

from interop.commands.console import FAILED, err, out, print_json, print_table
from interop.settings import Settings

if TYPE_CHECKING:
    from audit.notices import NoticeQueue, Telling
    from audit.store import Store
    from training.monitoring.telling import Told

COLUMNS = ("alert", "severity", "title", "open since", "over since", "notice", "event", "channel", "state", "attempts",
           "error")  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="for a program to read")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="What somebody has to look at, and whether they were told.")
    for name, function in (("list", list_), ("retry", retry), ("test", test)):
        group.command(name)(function)
    app.add_typer(group, name="alerts")


class Outgoing(NamedTuple):
    """A store, how an alert is told, and the notices that wait; `send` sends what is due."""

    store: "Store"
    tell: "Telling"
    queue: "NoticeQueue"


@contextmanager
def outgoing(settings: Settings) -> Iterator[Outgoing]:
    """For a command beside a running service; what is due by then is sent at its end. Raises ConfigurationError,
    StorageUnavailable."""
    from audit.notices import NoticeQueue, Telling, transact_in
    from interop.bootstrap import existing_store, now
    from interop.notifying import channels_of
    from training.monitoring.telling import send_due

    channels = channels_of(settings)
    with existing_store(settings) as store:
        queue = NoticeQueue(transact_in(store), now)
        yield Outgoing(store, Telling(channels), queue)
        report(send_due(queue, channels, settings.public_url))


def report(told: "Iterable[Told]") -> None:
    """On stderr, where it mixes with no JSON."""
    for one in told:
        err.print(str(one), markup=False)


def list_(
    limit: Annotated[int, typer.Option(min=1, help="so many of the newest alerts")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="those that are over and told, too")] = False,
    as_json: Json = False,
) -> None:
    """List open alerts and those that somebody has not been told of, with their notices."""
    from audit.notices import OF_CONCERN
    from interop.bootstrap import existing_store, now
    from interop.monitoring.shown import alert_json

    with existing_store(Settings()) as store, store.reader() as reader:
        kept = reader.alerts
        found = kept.list(open_only=False, limit=limit) if everything else kept.of_concern(now() - OF_CONCERN, limit)
        alerts = [alert_json(alert, kept.notices(alert.id) if alert.id is not None else ()) for alert in found]
    if as_json:
        print_json({"alerts": alerts})
        return
    table = Table(*COLUMNS, box=None, padding=(0, 2, 0, 0))
    for alert in alerts:
        about = [alert[name] or "" for name in ("key", "severity", "title", "opened_at", "resolved_at")]
        for notice in alert["notices"] or [dict.fromkeys(("id", "event", "channel", "state", "attempts", "error"))]:
            told = [notice[name] for name in ("id", "event", "channel", "state", "attempts", "error")]
            table.add_row(*about, *("" if value is None else str(value) for value in told))
    print_table(table)


def retry(id: Annotated[int, typer.Argument(help="of a dead notice, as `alerts list` shows it")]) -> None:
    """Have a dead notice wait again, and send what is due."""
    from interop.bootstrap import now

    with outgoing(Settings()) as out_of_here, out_of_here.store.unit_of_work() as uow:
        uow.alerts.retry(id, now())


def test() -> None:
    """Send a test to every channel, whatever severity it is for. Exit code 1 where one did not arrive."""
    from inference.errors import ConfigurationError
    from interop.bootstrap import now
    from interop.notifying import channels_of
    from training.monitoring.notice import trial
    from training.monitoring.telling import send_at_once

    channels = channels_of(Settings())
    if not channels:
        raise ConfigurationError("no channel: set ECG_SMTP_URL, ECG_SLACK_WEBHOOK or ECG_ALERT_CHANNELS")
    failed = False
    for channel, reason in send_at_once(dict.fromkeys(channels, trial(now()))):
        failed = failed or reason is not None
        (out if reason is None else err).print(
            f"{channel.name} ({channel.least} and worse): {reason or 'sent'}", markup=False
        )
    if failed:
        raise typer.Exit(FAILED)
