"""Once means once: the same thing sent by eight senders at the same moment, to one service and to two."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import TypeVar
from uuid import uuid4

import httpx
import orjson
import pytest

from audit.records import InboxRow
from tests.e2e.conftest import Service, running
from tests.e2e.inspection import Inspection
from tests.e2e.traffic import FHIR_JSON, Item, Kind, Ledger, Templates, acknowledged, connected, example_recordings

SENDERS = 8
CONNECTIONS = 20

T = TypeVar("T")


@pytest.fixture(scope="module")
def templates(examples: Path) -> Templates:
    return Templates(example_recordings(examples), prefix=f"E{uuid4().hex[:8]}-")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgresql_service: Service) -> Iterator[list[Service]]:
    """Two service processes on one PostgreSQL database."""
    folder = tmp_path_factory.mktemp("second")
    with running(folder, database_url=postgresql_service.database) as second:
        yield [postgresql_service, second]


@pytest.fixture(params=["sqlite", "postgresql", "two processes on postgresql"])
def services(request: pytest.FixtureRequest) -> Sequence[Service]:
    if request.param.startswith("two"):
        found: list[Service] = request.getfixturevalue("pair")
        return found
    return [request.getfixturevalue({"sqlite": "service", "postgresql": "postgresql_service"}[request.param])]


@pytest.fixture(autouse=True)
def nothing_new_is_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    """Other tests share the store, and may have left in it what an inspection remarks on."""
    name = "services" if "services" in request.fixturenames else "either"
    found = request.getfixturevalue(name)
    inspection = Inspection((found if isinstance(found, Service) else found[0]).database)
    before = inspection.findings(Ledger())
    yield
    assert inspection.findings(Ledger()) == before


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run all at the same moment, each in a thread of its own."""
    gate = Barrier(len(works))

    def one(work: Callable[[], T]) -> T:
        gate.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def post_at_once(
    services: Sequence[Service], contents: Sequence[bytes], headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    """Each content by a client of its own, over the services in turn."""
    with ExitStack() as stack:
        posts = []
        for n, content in enumerate(contents):
            url = services[n % len(services)].url
            http = stack.enter_context(httpx.Client(base_url=url, timeout=60, headers=FHIR_JSON | (headers or {})))
            posts.append(partial(http.post, "/fhir/Observation", content=content))
        return at_once(posts)


def send_at_once(services: Sequence[Service], contents: Sequence[bytes]) -> list[bytes]:
    """Each content over a connection of its own, to the services in turn."""
    with ExitStack() as stack:
        senders = [stack.enter_context(connected(services[n % len(services)].mllp)) for n in range(len(contents))]
        exchanges = [partial(sender.exchange, content) for sender, content in zip(senders, contents, strict=True)]
        return [answers[0] for answers in at_once(exchanges)]


def place(response: httpx.Response) -> str:
    """`Observation/id` of a Location."""
    return response.headers["Location"].partition("/fhir/")[2].partition("/_history")[0]


def reports_of(service: Service, observation: str) -> int:
    found = httpx.get(f"{service.url}/fhir/DiagnosticReport", params={"result": observation}).json()
    return int(found["total"])


def observations_with(service: Service, identifier: str) -> int:
    found = httpx.get(f"{service.url}/fhir/Observation", params={"identifier": identifier}).json()
    return int(found["total"])


def rows_of(service: Service, item: Item) -> list[InboxRow]:
    with service.store() as store, store.reader() as reader:
        return [row for row in reader.inbox.list(1000) if row.received.control_id == item.key]


def test_the_same_identifier_posted_at_once_is_one_observation_and_one_report(
    services: Sequence[Service], templates: Templates
) -> None:
    item = templates.item(Kind.FHIR)
    answers = post_at_once(services, [item.content] * SENDERS)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: SENDERS - 1}
    assert len({place(answer) for answer in answers}) == 1
    assert observations_with(services[0], item.key) == 1
    assert reports_of(services[0], place(answers[0])) == 1


def test_if_none_exist_at_once_creates_once_whatever_the_signal(
    services: Sequence[Service], templates: Templates
) -> None:
    key = templates.item(Kind.FHIR).key
    contents = [templates.item(Kind.FHIR, key=key).content for _ in range(SENDERS)]
    assert len({orjson.loads(content)["component"][0]["valueSampledData"]["data"] for content in contents}) > 1
    answers = post_at_once(services, contents, {"If-None-Exist": f"identifier=urn:oid:1.2.3|{key}"})
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: SENDERS - 1}
    assert len({place(answer) for answer in answers}) == 1
    assert observations_with(services[0], key) == 1
    assert reports_of(services[0], place(answers[0])) == 1


def test_the_same_identifier_with_another_signal_at_once_is_one_observation_and_conflicts(
    services: Sequence[Service], templates: Templates
) -> None:
    key = templates.item(Kind.FHIR).key
    contents = [templates.item(Kind.FHIR, key=key, patient="P1").content for _ in range(SENDERS)]
    assert Counter(contents.count(content) for content in contents) == {SENDERS // 2: SENDERS}
    answers = post_at_once(services, contents)
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {201: 1, 200: SENDERS // 2 - 1, 409: SENDERS // 2}
    assert observations_with(services[0], key) == 1


def test_two_identifiers_in_either_order_at_once_block_nobody(
    services: Sequence[Service], templates: Templates
) -> None:
    document = orjson.loads(templates.item(Kind.FHIR).content)
    keys = [{"system": "urn:oid:1.2.3", "value": f"{uuid4()}"} for _ in range(2)]
    contents = [orjson.dumps(document | {"identifier": keys[:: (-1) ** n]}) for n in range(SENDERS)]
    answers = post_at_once(services, contents)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: SENDERS - 1}
    assert reports_of(services[0], place(answers[0])) == 1


def test_the_same_message_on_eight_connections_is_analysed_once_and_answered_alike(
    services: Sequence[Service], templates: Templates
) -> None:
    item = templates.item(Kind.ORU)
    answers = send_at_once(services, [item.content] * SENDERS)
    assert all(acknowledged(item, answer) for answer in answers)
    assert len(set(answers)) == 1
    (row,) = rows_of(services[0], item)
    assert row.answer == answers[0]


def test_messages_that_share_nothing_are_all_taken_at_once(services: Sequence[Service], templates: Templates) -> None:
    items = [templates.item(Kind.ORU, patient="P1") for _ in range(SENDERS)]
    answers = send_at_once(services, [item.content for item in items])
    assert all(acknowledged(item, answer) for item, answer in zip(items, answers, strict=True))
    assert [len(rows_of(services[0], item)) for item in items] == [1] * SENDERS


def test_the_order_of_a_patient_is_kept_over_twenty_connections(either: Service, templates: Templates) -> None:
    """Each of four patients has five connections, which take turns: the next sends when the one before has its AA."""
    patients = [f"T{uuid4().hex[:8]}" for _ in range(4)]
    items = {patient: [templates.item(Kind.ORU, patient=patient) for _ in range(5)] for patient in patients}

    def in_turn(patient: str) -> None:
        with ExitStack() as stack:
            senders = [stack.enter_context(connected(either.mllp)) for _ in range(CONNECTIONS // len(patients))]
            for sender, item in zip(senders, items[patient], strict=True):
                assert acknowledged(item, sender.exchange(item.content)[0])

    at_once([partial(in_turn, patient) for patient in patients])
    with either.store() as store, store.reader() as reader:
        taken = {row.analysis_id: row.received.control_id for row in reader.inbox.list(1000)}
        queued = [(row.patient_key, taken[row.analysis_id]) for row in reversed(reader.outbox.list(None, 1000))]
        arrived = [row.received.control_id for row in reversed(reader.inbox.list(1000))]
    for patient, sent in items.items():
        order = [item.key for item in sent]
        assert [control_id for control_id in arrived if control_id in order] == order
        assert [control_id for key, control_id in queued if key.endswith(f"|{patient}")] == order
