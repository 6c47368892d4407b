"""Everything that a change needs before its transaction: the patient, what is here already, and the analysis of an ECG.

What is looked up here may change until the transaction; that is where it counts (`interop.fhir.storing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from actions.analysis import Analysis, RequestContext
from audit.criteria import Criterion, Search
from audit.records import Document, Documents, Reader, Received
from inference.errors import Duplicate, InvalidContent
from interop.fhir import conditional
from interop.fhir.change import Change, Changed, Effect, Method
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.submission import Ecg, Submission, ecg_of, is_analysed_alike
from interop.intake import Intake
from interop.passage import Outputs, Passage
from interop.record import Origin
from interop.refusal import uninterpretable
from interop.resources.codes import Json
from interop.resources.identifiers import identifiers_of
from interop.resources.observation import WITHDRAWN, ReceivedObservation, parse

PATIENT = "Patient/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """An ECG with its analysis, ready to be recorded."""

    analysis: Analysis
    outputs: Outputs
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A change, ready for its transaction. id: of the resource. matched: the id of what met its
    condition. known: it is here already. analysed: an ECG's, where it
    has to be analysed. seen: the version that it was prepared for, 0 where there was none."""

    submission: Submission
    id: str
    at: datetime
    matched: str | None = None
    known: Changed | None = None
    analysed: Analysed | None = None
    received: Received | None = None
    seen: int | None = None

    @property
    def change(self) -> Change:
        """What was asked."""
        return self.submission.change


class Preparing:
    """Makes changes ready."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def ready(
        self,
        submission: Submission,
        id: str,
        context: RequestContext,
        bundled: Mapping[str, Json],
        matched: str | None = None,
    ) -> Ready:
        """Within one patient nothing overtakes in between: to be called in the patient's turn. bundled: the Patients
        that come with it, by `Patient/id`.

        Raises Duplicate when an identifier belongs to another signal, UninterpretableSignal, Overloaded,
        ModelUnavailable, StorageUnavailable.
        """
        ready = Ready(submission=submission, id=id, at=context.received_at, matched=matched)
        ecg, change = submission.ecg, submission.change
        if ecg is None or (matched is not None and change.method is Method.POST):
            return ready
        ready = replace(ready, received=_item(submission, ecg, context))
        if change.method is Method.POST:
            known = await self._known(ecg)
            return (
                await self._analysed(ready, ecg, context, bundled, 1) if known is None else replace(ready, known=known)
            )
        current = await self._intake.read(lambda store: store.documents.newest(change.type, id))
        version = 0 if current is None else current.version
        ready = replace(ready, seen=version)
        if current is not None and await self._intake.decode(lambda: _is_alike(current, ecg.received)):
            return ready
        return await self._analysed(ready, ecg, context, bundled, version + 1)

    async def _known(self, ecg: Ecg) -> Changed | None:
        """The ECG that holds the same identifiers. Raises Duplicate when its signal is another."""
        identifiers = ecg.received.identifiers
        held = await self._intake.read(lambda store: conditional.holder(store.documents, identifiers))
        if held is None or held.deleted or ecg.recording is None:
            return None
        if await self._intake.decode(lambda: _digest_of(held)) != ecg.digest:
            raise Duplicate("the identifier belongs to an ECG with another signal", element="Observation.identifier")
        return await self._intake.read(lambda store: unchanged(store.documents, held))

    async def _analysed(
        self, ready: Ready, ecg: Ecg, context: RequestContext, bundled: Mapping[str, Json], version: int
    ) -> Ready:
        assert ready.received is not None
        if ecg.recording is None:
            return ready
        complete = ecg.of_person(await self.person(ecg.received, bundled))
        recording, origin = complete.recording, origin_of(ecg.received)
        assert recording is not None
        analysis, outputs = await Passage(
            intake=self._intake,
            context=context,
            received=ready.received,
            origin=origin,
            read=lambda: recording,
            digest=ecg.digest,
            id=ready.id,
            version=version,
        ).analysed()
        if not analysis.interpretable:
            raise uninterpretable(analysis, "Observation.component")
        analysed = Analysed(analysis=analysis, outputs=outputs, origin=origin)
        return replace(ready, received=outputs.received, analysed=analysed)

    async def person(self, received: ReceivedObservation, bundled: Mapping[str, Json]) -> Json | None:
        """The Patient that an ECG refers to, by reference or by identifier; None where we do not hold it."""
        subject = received.subject or {}
        reference = subject.get("reference", "")
        if received.patient is not None or reference.startswith("#"):
            return None
        if reference in bundled:
            return bundled[reference]
        return await self._intake.read(lambda store: _stored_patient(store, reference, subject))


def unchanged(documents: Documents, held: Document) -> Changed:
    """What is here already, with its report."""
    return Changed(document=held, effect=Effect.UNCHANGED, report=report_of(documents, held))


def report_of(documents: Documents, observation: Document) -> Document | None:
    """The DiagnosticReport of an Observation, unless it has none or a silent one."""
    if observation.type != "Observation":
        return None
    search = conditional.referring("DiagnosticReport", "result", f"Observation/{observation.id}")
    return next(iter(documents.search(search).documents), None)


def _stored_patient(store: Reader, reference: str, subject: Json) -> Json | None:
    documents = store.documents
    if reference.startswith(PATIENT):
        found = documents.newest("Patient", reference.removeprefix(PATIENT).partition("/")[0])
        if found is not None and not found.deleted:
            patient: Json = orjson.loads(found.content)
            return patient
    for named in identifiers_of([subject.get("identifier", {})]):
        criterion = Criterion(name="identifier", alternatives=((named.system or "", named.value),))
        page = documents.search(Search(type="Patient", criteria=(criterion,), count=2))
        if len(page.documents) == 1:
            patient = orjson.loads(page.documents[0].content)
            return patient
    return None


def _is_alike(current: Document, received: ReceivedObservation) -> bool:
    """Whether the analysis of the stored version holds for the new one."""
    if current.deleted:
        return False
    raw = orjson.loads(current.content)
    both_live = raw["status"] not in WITHDRAWN and not received.withdrawn
    return both_live and is_analysed_alike(raw, received.raw)


def _digest_of(document: Document) -> str | None:
    """The digest of the signal in a stored ECG; None for one that was kept without analysis."""
    return ecg_of(parse(document.content)).digest


def _item(submission: Submission, ecg: Ecg, context: RequestContext) -> Received:
    content = submission.change.content
    assert content is not None
    if not content:
        raise InvalidContent("there is no resource")
    return Received(
        door=context.door,
        content=content,
        media_type=FHIR_JSON,
        received_at=context.received_at,
        correlation_id=context.correlation_id,
        patient_key=ecg.received.patient_key,
    )


def origin_of(received: ReceivedObservation) -> Origin:
    """Where an ECG that came by this door came from."""
    return Origin(observation=received, subject=received.subject, observation_identifiers=received.identifiers)
