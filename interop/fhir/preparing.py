"""Everything that a change needs before its transaction: the patient, what is here already, and the analysis of an ECG.

What is looked up here may change until the transaction; that is where it counts (`interop.fhir.storing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from actions.analysis import RequestContext
from audit.criteria import Criterion, Search
from audit.records import Document, Documents, Reader, Received
from inference.errors import Duplicate, InvalidContent
from interop.fhir import conditional
from interop.fhir.change import Change, Changed, Effect, Method
from interop.fhir.derived import TYPE as DOCUMENT
from interop.fhir.derived import ecg_of as ecg_of_document
from interop.fhir.ecg_documents import EcgDocument
from interop.fhir.ecg_documents import is_analysed_alike as is_document_alike
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


class Moved(Exception):
    """What a change was prepared for is not so any more: it has to be prepared again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A change, ready for its transaction. id: of the resource. matched: the id of what met its condition. known: it is
    here already. analysed: an ECG's, where it has to be analysed. seen: the version that it was prepared for, 0 where
    there was none. derived: the ECG of a document as it was then."""

    submission: Submission
    id: str
    at: datetime
    matched: str | None = None
    known: Changed | None = None
    analysed: Outputs | None = None
    received: Received | None = None
    seen: int | None = None
    derived: Document | None = None

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
        ecg, document, change = submission.ecg, submission.document, submission.change
        if (ecg is None and document is None) or (matched is not None and change.method is Method.POST):
            return ready
        ready = replace(ready, received=_item(submission, context))
        if document is not None:
            return await self._of_document(ready, document, context, bundled)
        assert ecg is not None
        if change.method is Method.POST:
            known = await self._known(ecg)
            if known is not None:
                return replace(ready, known=known)
            return await self._analysed(ready, ecg, context, bundled, 1)
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
        if ecg.recording is None:
            return ready
        complete = ecg.of_person(await self.person(ecg.received, bundled))
        recording = complete.recording
        assert recording is not None
        assert ready.received is not None
        passage = Passage(
            intake=self._intake,
            context=context,
            received=ready.received,
            origin=origin_of(ecg.received),
            read=lambda: recording,
            digest=ecg.digest,
            id=ready.id,
            version=version,
        )
        return await _passed(ready, passage, "Observation.component")

    async def _of_document(
        self, ready: Ready, document: EcgDocument, context: RequestContext, bundled: Mapping[str, Json]
    ) -> Ready:
        item = ready.received
        assert item is not None
        if ready.change.method is not Method.POST:
            current, derived = await self._intake.read(lambda store: _document_and_ecg(store.documents, ready.id))
            ready = replace(ready, seen=0 if current is None else current.version, derived=derived)
            if current is not None and await self._intake.decode(lambda: _is_document_alike(current, document.raw)):
                return ready
        patient = document.patient or await self.patient(document.subject, bundled)
        recording, derived = document.recording(patient), ready.derived
        origin = await self._intake.decode(lambda: document.origin(recording, ready.id, context.received_at))
        passage = Passage(
            intake=self._intake,
            context=context,
            received=item,
            origin=origin,
            read=lambda: recording,
            digest=document.file.digest,
            id=None if derived is None else derived.id,
            version=1 if derived is None else derived.version + 1,
        )
        return await _passed(ready, passage, document.file.element)

    async def person(self, received: ReceivedObservation, bundled: Mapping[str, Json]) -> Json | None:
        """The Patient that an ECG refers to, by reference or by identifier; None where it brings its own or we do not
        hold it."""
        return None if received.patient is not None else await self.patient(received.subject or {}, bundled)

    async def patient(self, subject: Json, bundled: Mapping[str, Json]) -> Json | None:
        """The Patient that a Reference means; None where we do not hold it."""
        reference = subject.get("reference", "")
        if reference.startswith("#"):
            return None
        if reference in bundled:
            return bundled[reference]
        return await self._intake.read(lambda store: _stored_patient(store, reference, subject))


async def _passed(ready: Ready, passage: Passage, element: str) -> Ready:
    """With the analysis. element: where the signal came from. Raises UninterpretableSignal."""
    outputs = await passage.analysed()
    if not outputs.analysis.interpretable:
        raise uninterpretable(outputs.analysis, element)
    return replace(ready, received=outputs.received, analysed=outputs)


def unchanged(documents: Documents, held: Document) -> Changed:
    """What is here already, with its report."""
    return Changed(document=held, effect=Effect.UNCHANGED, report=report_of(documents, held))


def report_of(documents: Documents, held: Document) -> Document | None:
    """The DiagnosticReport of an Observation or of the ECG in a document, unless it has none or a silent one."""
    observation = ecg_of_document(documents, held.id) if held.type == DOCUMENT else held
    if observation is None or observation.type != "Observation":
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


def _document_and_ecg(documents: Documents, name: str) -> tuple[Document | None, Document | None]:
    return documents.newest(DOCUMENT, name), ecg_of_document(documents, name)


def _is_document_alike(current: Document, raw: Json) -> bool:
    return not current.deleted and is_document_alike(orjson.loads(current.content), raw)


def _digest_of(document: Document) -> str | None:
    """The digest of the signal in a stored ECG; None for one that was kept without analysis."""
    return ecg_of(parse(document.content)).digest


def _item(submission: Submission, context: RequestContext) -> Received:
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
        patient_key=submission.patient_key,
    )


def origin_of(received: ReceivedObservation) -> Origin:
    """Where an ECG that came by this door came from."""
    return Origin(observation=received, subject=received.subject, observation_identifiers=received.identifiers)
