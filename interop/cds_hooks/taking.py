"""An ECG that comes with a hook call, taken in like one that is posted: analysed and stored, once.

Its subject is the EHR's patient, named so that the results are found again: by a number of the Patient, and by the
whole URL, because a bare id means somebody else in the next system. An ECG without identifiers of its own gets one from
where it stands in the EHR, so that the next call finds it; what is corrected there is its next version here, and what
was made of the earlier one is withdrawn.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from actions.analysis import Door, RequestContext
from audit.records import Reader, Received, UnitOfWork
from inference.digest import signal_digest
from inference.errors import Duplicate, InvalidContent, SenderError
from inference.recording import Recording
from interop.cds_hooks.cards import Unreadable
from interop.cds_hooks.known import KnownEcg, of_observation
from interop.cds_hooks.prefetch import Told
from interop.intake import Intake
from interop.overreading import Occasion, withdraw
from interop.passage import Passage
from interop.record import IDENTIFIER_SCOPE, Origin, Recorded
from interop.resources.codes import URN_IDENTIFIERS, Json
from interop.resources.identifiers import Identifier
from interop.resources.observation import ReceivedObservation, parse, to_recording
from interop.resources.times import Precision, moment

MEDIA_TYPE = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Ecg:
    """An Observation of the EHR, ready to be taken in. digest: of its signal. is_ours: its identifier was made here."""

    received: ReceivedObservation
    recording: Recording
    digest: str
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The Observation here that has an identifier of an ECG: id, newest version and signal, and how it was analysed."""

    id: str
    version: int
    digest: str
    known: KnownEcg | None


class Taking:
    """Takes ECGs in."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def known(
        self, raw: Json, told: Told, server: str | None, context: RequestContext
    ) -> KnownEcg | Unreadable | None:
        """The ECG as it was analysed, before or now. None where its results are silent. Raises ServiceError: what fails
        on our side is no property of the ECG."""
        try:
            ecg = await self._intake.decode(lambda: _read(raw, told, server))
            async with self._intake.in_order(ecg.received.patient_key):
                held = await self._intake.read(lambda store: _held(store, ecg))
                if held is None:
                    return await self._analysed(ecg, context, None)
                if held.known is not None and _is_same(ecg, held):
                    return held.known
                if not ecg.is_ours and held.digest != ecg.digest:
                    raise Duplicate("its identifier belongs to an ECG with another signal")
                return await self._analysed(ecg, context, held)
        except SenderError as error:
            where = f" ({error.element})" if error.element else ""
            reason = f"{error.message.rstrip('.')}{where}."
            return Unreadable(key=_place(raw, server), reason=reason, recorded_at=recorded_at(raw))

    async def _analysed(self, ecg: Ecg, context: RequestContext, held: Held | None) -> KnownEcg | None:
        """Raises Duplicate, VersionConflict where another process was faster, and ServiceError."""
        received = ecg.received
        self._intake.metrics.received(Door.CDS_HOOKS)
        origin = Origin(observation=received, subject=received.subject, observation_identifiers=received.identifiers)
        corrected = held if ecg.is_ours else None
        passage = Passage(
            intake=self._intake,
            context=context,
            received=Received(
                door=context.door,
                content=received.content,
                media_type=MEDIA_TYPE,
                received_at=context.received_at,
                correlation_id=context.correlation_id,
                sender=context.sender,
                patient_key=received.patient_key,
            ),
            origin=origin,
            read=lambda: ecg.recording,
            digest=ecg.digest,
            id=corrected.id if corrected else None,
            version=corrected.version + 1 if corrected else 1,
        )
        outputs = await passage.analysed()

        def store(uow: UnitOfWork) -> Recorded:
            if corrected is None:
                return outputs.record(uow)
            at, correlation_id = context.received_at, context.correlation_id
            withdraw(uow, corrected.id, Occasion(at=at, correlation_id=correlation_id, ids=self._intake.ids))
            return outputs.record_again(uow, before=origin.observation_identifiers)

        recorded = await self._intake.write(store)
        if recorded.created:
            self._intake.shadow(outputs.analysis, outputs.recording)
        return await self._intake.read(lambda reader: of_observation(reader, recorded.observation.id))


def recorded_at(raw: Json) -> datetime | None:
    """When an Observation says that it was recorded, as far as that can be read."""
    text = raw.get("effectiveDateTime") or raw.get("effectiveInstant")
    period = raw.get("effectivePeriod")
    if text is None and isinstance(period, dict):
        text = period.get("start")
    try:
        found = moment(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.at if found and found.precision in (Precision.DAY, Precision.TIME) else None


def _read(raw: Json, told: Told, server: str | None) -> Ecg:
    """Raises Malformed, InvalidContent and its children."""
    is_ours = not _has_identifier(raw)
    changed = raw | {"subject": _subject(raw, told, server)}
    if is_ours:
        changed["identifier"] = [Identifier(_place(raw, server), URN_IDENTIFIERS).as_json()]
    received = parse(orjson.dumps({name: value for name, value in changed.items() if name not in ("id", "meta")}))
    recording = to_recording(replace(received, patient=received.patient or told.patient))
    return Ecg(received, recording, signal_digest(recording), is_ours)


def _has_identifier(raw: Json) -> bool:
    found = raw.get("identifier")
    return isinstance(found, list) and any(isinstance(one, dict) and one.get("value") for one in found)


def _place(raw: Json, server: str | None) -> str:
    """Where the ECG stands in the EHR; of one that stands nowhere, what it says."""
    if server and isinstance(raw.get("id"), str):
        return f"{server}/Observation/{raw['id']}"
    content = orjson.dumps([raw.get("component"), raw.get("effectiveDateTime")], option=orjson.OPT_SORT_KEYS)
    return f"urn:sha256:{hashlib.sha256(content).hexdigest()}"


def _subject(raw: Json, told: Told, server: str | None) -> Json:
    """Raises InvalidContent where the ECG is another patient's: never one patient's ECG on another's screen."""
    subject = raw.get("subject")
    given: Json = dict(subject) if isinstance(subject, dict) else {}
    reference = str(given.get("reference", ""))
    if reference.startswith("#"):
        return given
    name = f"Patient/{told.patient_id}"
    if reference and not f"/{reference.partition('/_history')[0]}".endswith(f"/{name}"):
        raise InvalidContent("the ECG is of another patient", element="Observation.subject")
    whole = {"reference": f"{server}/{name}"} if server else {}
    numbers = [one.as_json() for one in told.identifiers if one.system]
    complete: Json = {"type": "Patient", **whole, **({"identifier": numbers[0]} if numbers else {})}
    return complete if whole or numbers else given


def _held(store: Reader, ecg: Ecg) -> Held | None:
    for identifier in ecg.received.identifiers:
        claimed = store.documents.held(IDENTIFIER_SCOPE, identifier.key)
        if claimed is not None:
            owner, digest = claimed
            name = owner.partition("/")[2]
            current = store.documents.newest("Observation", name)
            version = 0 if current is None else current.version
            return Held(id=name, version=version, digest=digest, known=of_observation(store, name))
    return None


def _is_same(ecg: Ecg, held: Held) -> bool:
    """Whether the analysis holds: of the same signal, recorded at the same time."""
    return held.known is not None and held.digest == ecg.digest and held.known.recorded_at == ecg.recording.recorded_at
