"""Every error of the tree through every HTTP door: status, shape and code are those of the table."""

from collections.abc import Iterator

import pytest

from audit.records import Received
from inference import errors
from inference.errors import EcgError, Fault
from interop.errors import ANSWERS, answer_to
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

    def __call__(self, recording: object, context: object) -> None:
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


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_reads_as_an_operation_outcome_at_the_fhir_door(service: Service, kind: type[EcgError]) -> None:
    meet(service, kind)
    response = service.client.post("/fhir/Observation", content=ECG, headers={"Content-Type": FHIR_JSON})
    answer = answer_to(kind("x"))
    assert response.status_code == answer.http_status
    assert response.headers["content-type"] == FHIR_JSON
    assert response.headers.get("retry-after") == (str(answer.retry_after) if answer.retry_after else None)
    (issue,) = valid("OperationOutcome", response.content).issue
    assert (issue.code, issue.details.text, issue.expression) == (answer.issue, "what went wrong", ["the.element"])
    assert kind.code in issue.diagnostics


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.code)
def test_every_error_reads_as_a_problem_at_the_rest_door(service: Service, kind: type[EcgError]) -> None:
    meet(service, kind)
    response = service.client.post("/predict", json=MATRIX)
    assert response.status_code == answer_to(kind("x")).http_status
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


def test_no_row_of_the_table_is_without_its_error() -> None:
    assert set(ANSWERS) == {kind.code for kind in EVERY_ERROR}


def test_received_items_are_what_the_store_expects() -> None:
    """The walk raises before anything is stored; one success shows that the requests themselves are good."""
    with running() as service:
        assert service.client.post("/predict", json=MATRIX).status_code == 200
        response = service.client.post("/fhir/Observation", content=ECG, headers={"Content-Type": FHIR_JSON})
        assert response.status_code == 201
        assert all(isinstance(row.received, Received) for row in service.store.content.inbox.rows)
