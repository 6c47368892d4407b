"""Every error of the tree through every door: status, shape and code are those of the table."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from audit.records import InboxRow, ProcessingState
from inference import errors
from inference.errors import ConfigurationError, Duplicate, EcgError, Fault, InternalError
from interop.errors import ANSWERS, answer_to
from tests.interop.mllp.world import World, ecg, fields
from tests.interop.service import FHIR_JSON, Service, matrix, observation, real_ecg, running
from tests.interop.valid import valid

# Never raised themselves: they only group their children.
ABSTRACT = {errors.EcgError, errors.SenderError, errors.ServiceError}


def every_error() -> Iterator[type[EcgError]]:
    waiting: list[type[EcgError]] = [EcgError]
    while waiting:
        kind = waiting.pop(0)
        waiting.extend(kind.__subclasses__())
        if kind not in ABSTRACT and kind.__module__ == errors.__name__:
            yield kind


EVERY_ERROR = list(every_error())
ECG = observation(real_ecg())
MATRIX = {"ecg_signal": matrix(real_ecg())}


class Raising:
    """An analyzer that meets one error."""

    def __init__(self) -> None:
        self.error: EcgError = EcgError("none yet")

    def begin(self, recording: object, context: object, digest: object = None) -> None:
        """What every door's analysis starts with."""
        raise self.error


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running() as started:
        object.__setattr__(started.intake, "analyzer", Raising())
        yield started


def meet(service: Service, kind: type[EcgError]) -> None:
    raising = service.intake.analyzer
    assert isinstance(raising, Raising)
    raising.error = kind("what went wrong", element="the.element")


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_has_a_row_of_its_own(kind: type[EcgError]) -> None:
    assert kind.code in ANSWERS
    answer = answer_to(kind("x"))
    assert (answer.http_status < 500) == (kind.fault is Fault.SENDER)
    assert (answer.http_status == 401) == (answer.challenge is not None)


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_reads_as_an_operation_outcome_at_the_fhir_door(service: Service, kind: type[EcgError]) -> None:
    meet(service, kind)
    response = service.client.post("/fhir/Observation", content=ECG, headers={"Content-Type": FHIR_JSON})
    answer = answer_to(kind("x"))
    assert response.status_code == answer.http_status
    assert response.headers["content-type"] == FHIR_JSON
    assert response.headers.get("retry-after") == (str(answer.retry_after) if answer.retry_after else None)
    assert response.headers.get("www-authenticate") == answer.challenge
    (issue,) = valid("OperationOutcome", response.content).issue
    assert (issue.code, issue.details.text, issue.expression) == (answer.issue, "what went wrong", ["the.element"])
    assert kind.code in issue.diagnostics


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_reads_as_a_problem_at_the_rest_door(service: Service, kind: type[EcgError]) -> None:
    meet(service, kind)
    response = service.client.post("/predict", json=MATRIX)
    assert response.status_code == answer_to(kind("x")).http_status
    assert response.headers.get("www-authenticate") == answer_to(kind("x")).challenge
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert (document["code"], document["detail"], document["element"]) == (kind.code, "what went wrong", "the.element")


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_refusal_is_counted_by_door_and_code(service: Service, kind: type[EcgError]) -> None:
    meet(service, kind)
    sample = f'ecg_refused_total{{code="{kind.code}",door="predict"}}'
    before = service.metric(sample)
    service.client.post("/predict", json=MATRIX)
    assert service.metric(sample) == before + 1


@dataclass(frozen=True)
class Met:
    """What the MLLP door made of one error. stored: the inbox row of the message, if there is one."""

    answer: bytes
    stored: InboxRow | None
    refusals: float


@pytest.fixture(scope="module")
def by_mllp(tmp_path_factory: pytest.TempPathFactory) -> dict[type[EcgError], Met]:
    """Every error met by a message of its own, at one listener on a real socket with a real store behind it."""

    async def walk() -> dict[type[EcgError], Met]:
        async with World(tmp_path_factory.mktemp("walk")).serving() as door:
            raising = Raising()
            object.__setattr__(door.intake, "analyzer", raising)
            met = {}
            for number, kind in enumerate(EVERY_ERROR):
                raising.error = kind("what went wrong", element="OBX[3]-5")
                answer = await door.ask(ecg(f"E-{number}"))
                rows = await door.inbox(f"E-{number}")
                text = door.intake.metrics.exposition()[0].decode()
                sample = f'ecg_refused_total{{code="{at_mllp(kind).code}",door="mllp"}} '
                (refusals,) = (line.removeprefix(sample) for line in text.splitlines() if line.startswith(sample))
                met[kind] = Met(answer, rows[0] if rows else None, float(refusals))
            return met

    return asyncio.run(walk())


def at_mllp(kind: type[EcgError]) -> type[EcgError]:
    """The error that the sender is told of. A wrong setting is none of its business; and a Duplicate, there, is the
    inbox saying that this very message came before, so one without the earlier message is a defect."""
    return InternalError if issubclass(kind, ConfigurationError | Duplicate) else kind


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_reads_as_an_acknowledgement_at_the_mllp_door(
    by_mllp: dict[type[EcgError], Met], kind: type[EcgError]
) -> None:
    number, told = EVERY_ERROR.index(kind), at_mllp(kind)
    answer, expected = by_mllp[kind].answer, answer_to(told("x"))
    msa, err = fields(answer, "MSA"), fields(answer, "ERR")
    assert msa[1:3] == [expected.ack, f"E-{number}"]
    assert err[3] == "^".join([*expected.condition, "HL70357"])
    assert err[5].startswith(told.code)
    if told is kind:
        assert (msa[3], err[2], err[8]) == ("what went wrong", "OBX^3^5", "what went wrong")
    else:
        assert b"what went wrong" not in answer, "the inside of the house is not for senders"


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_the_mllp_door_keeps_what_its_sender_must_change_and_only_that(
    by_mllp: dict[type[EcgError], Met], kind: type[EcgError]
) -> None:
    """What our side failed at is the sender's to send again, as if it had never come."""
    stored = by_mllp[kind].stored
    if at_mllp(kind).fault is Fault.SENDER:
        assert stored is not None
        assert (stored.processing, stored.error) == (ProcessingState.FAILED, kind.code)
    else:
        assert stored is None
        assert answer_to(at_mllp(kind)("x")).ack == "AE", "never AR, which means that it must not be sent again"


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_refusal_at_the_mllp_door_is_counted(by_mllp: dict[type[EcgError], Met], kind: type[EcgError]) -> None:
    assert by_mllp[kind].refusals >= 1


def test_no_row_of_the_table_is_without_its_error() -> None:
    assert set(ANSWERS) == {kind.code for kind in EVERY_ERROR}


def test_received_items_are_what_the_store_expects() -> None:
    """The walk raises before anything is stored; one success shows that the requests themselves are good."""
    with running() as service:
        assert service.client.post("/predict", json=MATRIX).status_code == 200
        response = service.client.post("/fhir/Observation", content=ECG, headers={"Content-Type": FHIR_JSON})
        assert response.status_code == 201
        assert service.store.rows("SELECT door FROM inbox ORDER BY id") == [("predict",), ("fhir",)]
