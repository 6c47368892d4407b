"""What goes wrong in a drill, what the operator does about it, and what came of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from tests.drill.hospital import ARCHIVE_SECONDS, SERVICES, Hospital, Told
from tests.e2e.archived import OWNER
from tests.e2e.conftest import Service
from tests.e2e.inspection import Findings, Inspection

CALM_SECONDS = 4.0  # of traffic before each disaster and after it
SENT_BEFORE_SECONDS = 5.0  # more than is missing, to be safe
SLACK_SECONDS = 5.0  # for a segment on its way into the archive


@dataclass(frozen=True)
class Outcome:
    """What one disaster did. answered: acknowledged before it. silent: the longest time in which nothing was
    acknowledged. whole: seconds until all services were ready. lost: acknowledged, and not in the database afterwards.
    reach: seconds between the first and the last of them. forbidden: those of them that must not be lost. repeated:
    results delivered again with their MSH-10. left: what was wrong after all was sent again."""

    name: str
    answered: int
    silent: float
    whole: float
    lost: int
    reach: float
    forbidden: int
    repeated: int
    left: Findings

    @property
    def holds(self) -> bool:
        """Whether all is as docs/continuity.md promises."""
        return not self.forbidden and self.left == Findings()


@dataclass(frozen=True)
class Disaster:
    """strike: makes it and repairs it; gives until when (`monotonic`) nothing that was acknowledged may be lost.
    prepare: what was done long before, such as a copy."""

    name: str
    strike: Callable[[Hospital], float]
    prepare: Callable[[Hospital], object] = lambda _: None


def happen(hospital: Hospital, tell: Told) -> Iterator[Outcome]:
    """One after the other, on what the one before has left."""
    hospital.server.base_backup()
    for disaster in DISASTERS:
        tell(disaster.name)
        yield happen_one(hospital, disaster)


def happen_one(hospital: Hospital, disaster: Disaster) -> Outcome:
    """One of them: traffic, the disaster and its repair, traffic, everything sent again where something was lost."""
    repeated = hospital.sent_again()
    with hospital.traffic():
        sleep(CALM_SECONDS)
        disaster.prepare(hospital)
        sleep(CALM_SECONDS)
        at, answered = monotonic(), len(hospital.accepted)
        safe = disaster.strike(hospital)
        hospital.wait_until_whole()
        whole = monotonic() - at
        sleep(CALM_SECONDS)
    lost = [hospital.accepted[key] for key in _lost(hospital)]
    if lost:
        hospital.send_again(min(lost) - SENT_BEFORE_SECONDS)
    return Outcome(
        name=disaster.name,
        answered=answered,
        silent=_longest_silence(hospital, at),
        whole=whole,
        lost=len(lost),
        reach=max(lost) - min(lost) if lost else 0.0,
        forbidden=sum(moment < safe for moment in lost),
        repeated=hospital.sent_again() - repeated,
        left=Inspection(hospital.url).findings(hospital.ledger),
    )


def _lost(hospital: Hospital) -> list[str]:
    """The keys of what was acknowledged and is not there."""
    texts = Inspection(hospital.url).findings(hospital.ledger).lost
    return [text.rpartition(" ")[2] for text in texts]


def _longest_silence(hospital: Hospital, at: float) -> float:
    moments = sorted(hospital.moments)
    return max(later - earlier for earlier, later in pairwise(moments) if later > at)


def _service_killed(hospital: Hospital) -> float:
    hospital.end(0, Service.kill)
    hospital.start(0)
    return inf


def _database_killed(hospital: Hospital) -> float:
    hospital.server.crash()
    hospital.server.start()
    return inf


def _password_rotated(hospital: Hospital) -> float:
    """Two users take turns, so that at no moment a service has a password that is not good."""
    old, new, password = hospital.login, f"{OWNER}_b", "of-the-second-day"
    hospital.server.sql(f"CREATE ROLE {new} LOGIN PASSWORD '{password}' IN ROLE {OWNER}")
    hospital.server.sql(f"ALTER ROLE {new} SET role = '{OWNER}'")
    hospital.login = (new, password)
    for place in range(SERVICES):
        hospital.end(place, Service.stop)
        hospital.start(place)
    hospital.server.sql(f"ALTER ROLE {old[0]} NOLOGIN PASSWORD NULL")
    assert not _opens(hospital, *old), "the old password still opens the database"
    assert _opens(hospital, *hospital.login)
    return inf


def _opens(hospital: Hospital, user: str, password: str) -> bool:
    engine = create_engine(hospital.server.url(password, user))
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def _data_deleted(hospital: Hospital) -> float:
    """Noticed some seconds later; the services are stopped, the server goes back to just before."""
    safe, moment = monotonic(), hospital.server.now()
    hospital.server.sql("TRUNCATE documents, document_index, document_ranges, analyses CASCADE")
    sleep(CALM_SECONDS)
    hospital.stop_all()
    hospital.server.sql("SELECT pg_switch_wal()")
    hospital.server.stop()
    hospital.server.recover(_newest_base(hospital), moment)
    hospital.start_all()
    return safe


def _directory_lost(hospital: Hospital) -> float:
    """What was not in the archive yet is gone. The services run on."""
    safe = monotonic() - ARCHIVE_SECONDS - SLACK_SECONDS
    hospital.server.lose()
    hospital.server.recover(_newest_base(hospital))
    return safe


def _newest_base(hospital: Hospital) -> Path:
    return max(hospital.server.bases.iterdir())


class _Night:
    """The logical copy of the night before, and when it was begun."""

    def __init__(self) -> None:
        self.begun = 0.0

    def copy(self, hospital: Hospital) -> None:
        self.begun = monotonic()
        hospital.server.backup()

    def everything_lost(self, hospital: Hospital) -> float:
        """Server, base backups and archive; another server gets the copy, and users of its own."""
        hospital.stop_all()
        hospital.server.lose()
        password = "of-the-new-server"
        hospital.server.replace(password)
        hospital.login = (OWNER, password)
        file = max(hospital.server.copies.glob("*.dump"))
        user = {"PGHOST": "127.0.0.1", "PGUSER": OWNER, "PGPASSWORD": password}
        restored = hospital.server.script("restore.sh", file, **user)
        assert restored.returncode == 0, restored.stdout
        hospital.run("db", "upgrade")
        hospital.start_all()
        return self.begun


_night = _Night()
DISASTERS = (
    Disaster("kill -9 of one of two services", _service_killed),
    Disaster("kill -9 of PostgreSQL", _database_killed),
    Disaster("database password rotated, services restarted one by one", _password_rotated),
    Disaster("tables emptied by mistake: back to the moment before", _data_deleted),
    Disaster("data directory lost: base backup and archived WAL", _directory_lost),
    Disaster("server and archive lost: logical copy on a new server", _night.everything_lost, _night.copy),
)
