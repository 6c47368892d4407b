"""`Observation/$analyze`: what a create would store, given back and not stored. Only the audit trail knows of it."""

from time import perf_counter
from typing import Any

import orjson

from actions.analysis import Analysis, RequestContext
from audit.records import Received
from inference.errors import InvalidContent
from inference.recording import Recording
from interop.fhir.change import Change, Method
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.preparing import Preparing, origin_of
from interop.fhir.submission import Ecg, read
from interop.intake import Intake
from interop.record import Prepared, analysed_entry, prepare
from interop.refusal import uninterpretable
from interop.resources.documents import Indexed
from interop.resources.members import items, members
from interop.resources.received import loaded

Json = dict[str, Any]


class Analyzing:
    """The operation."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._preparing = Preparing(intake)

    async def __call__(self, content: bytes, context: RequestContext, base: str) -> bytes:
        """A Bundle of type collection. content: an Observation, or Parameters with one.

        Raises Malformed, InvalidContent and its children, UninterpretableSignal, Overloaded, ModelUnavailable.
        """
        started = perf_counter()
        self._intake.metrics.received(context.door)
        ecg = await self._intake.decode(lambda: _ecg(argument(content, "observation", "Observation")))
        complete = ecg.of_person(await self._preparing.person(ecg.received, {}))
        recording, origin = complete.recording, origin_of(ecg.received)
        assert recording is not None

        def finish(recording: Recording, analysis: Analysis) -> Prepared:
            return prepare(analysis, recording=recording, origin=origin, ids=self._intake.ids)

        analysis, prepared = await self._intake.analyze_within(
            lambda: recording, context, finish, digest=complete.digest
        )
        if not analysis.interpretable:
            raise uninterpretable(analysis, "Observation.component")
        received = Received(
            door=context.door,
            content=content,
            media_type=FHIR_JSON,
            received_at=context.received_at,
            correlation_id=context.correlation_id,
        )
        entry = analysed_entry(analysis, prepared, received, stored=False)
        await self._intake.write(lambda uow: uow.trail.append(entry))
        self._intake.metrics.answered(context.door, perf_counter() - started)
        return orjson.dumps(_bundle(prepared, base))


def argument(content: bytes, name: str, *types: str) -> bytes:
    """The resource that an operation is about: the body, or a parameter of it. Raises Malformed, InvalidContent."""
    raw = loaded(content)
    if raw["resourceType"] != "Parameters":
        return content
    parameters = raw.get("parameter", [])
    for place, one in enumerate(parameters if isinstance(parameters, list) else []):
        if isinstance(one, dict) and one.get("name") in (name, "resource") and isinstance(one.get("resource"), dict):
            return _resource_of(content, place)
    raise InvalidContent(f"Parameters need the parameter {name} with {' or '.join(types)}", element="Parameters")


def _resource_of(content: bytes, place: int) -> bytes:
    """The text of the resource of one parameter."""
    parameter = list(items(members(content.decode())["parameter"]))[place]
    return members(parameter)["resource"].encode()


def _ecg(content: bytes) -> Ecg:
    submission = read(Change(method=Method.POST, type="Observation", content=content))
    if submission.ecg is None or submission.ecg.recording is None:
        raise InvalidContent("an ECG that stands is needed: LOINC 11524-6 or MDC 131328", element="Observation.code")
    return submission.ecg


def _bundle(prepared: Prepared, base: str) -> Json:
    rendered = prepared.rendered
    devices = [rendered.as_document(device) for device in rendered.devices]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [_entry(one, base) for one in (*rendered.owned, *devices)],
    }


def _entry(one: Indexed, base: str) -> Json:
    name = f"{one.document.type}/{one.document.id}"
    return {"fullUrl": f"{base}/{name}", "resource": orjson.Fragment(one.document.content)}
