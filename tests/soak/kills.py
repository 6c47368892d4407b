"""Kill -9 at random moments, again and again: nothing acknowledged is lost or doubled, nothing is half there."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from inference.recording import Recording
from tests.e2e.campaign import Campaign
from tests.e2e.conftest import command, migrated, running
from tests.e2e.faults import free_port, receiving, server
from tests.e2e.inspection import Findings

LONGEST_SECONDS = 4.0  # between ready and the kill

Told = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What one campaign counted. results: sent to the receiver; repeated: those that it got again after a kill."""

    name: str
    kills: int
    sent: int
    resent: int
    acknowledged: int
    refused: int
    results: int
    repeated: int
    findings: Findings
    restart_median: float
    restart_longest: float


def kill_again_and_again(kills: int, recordings: Sequence[Recording], tell: Told) -> Iterator[Outcome]:
    """`kills` on each of: SQLite, PostgreSQL, PostgreSQL beside a second service that goes on and takes over."""
    for seed, name in enumerate(("SQLite", "PostgreSQL", "PostgreSQL, two processes")):
        with TemporaryDirectory(prefix="ecg-soak-") as folder, ExitStack() as stack:
            yield _campaign(name, kills, seed, Path(folder), recordings, stack, tell)


def _campaign(
    name: str, kills: int, seed: int, folder: Path, recordings: Sequence[Recording], stack: ExitStack, tell: Told
) -> Outcome:
    port = free_port()
    receiver = stack.enter_context(receiving(port))
    settings = {"outbound_mllp": f"127.0.0.1:{port}"}
    if name != "SQLite":
        settings["database_url"] = migrated(stack.enter_context(server()).url, folder)
    if name.endswith("two processes"):
        (folder / "second").mkdir()
        stack.enter_context(running(folder / "second", **settings))
    campaign = Campaign(folder, recordings, settings, seed=seed)
    findings = Findings()
    for number in range(1, kills + 1):
        findings += campaign.round(LONGEST_SECONDS)
        tell(f"{name}: kill {number} of {kills}, {len(campaign.ledger.sent)} sent")
    findings += campaign.finish(receiver)
    verified = command("audit", "verify", folder=folder, **settings)
    findings.broken += [] if verified.returncode == 0 else [verified.stderr]
    repeated = Counter(receiver.received)
    return Outcome(
        name=name,
        kills=campaign.kills,
        sent=len(campaign.ledger.sent),
        resent=campaign.ledger.resent,
        acknowledged=len(campaign.ledger.answers),
        refused=len(campaign.ledger.refusals),
        results=len(repeated),
        repeated=sum(repeated.values()) - len(repeated),
        findings=findings,
        restart_median=median(campaign.starts),
        restart_longest=max(campaign.starts),
    )
