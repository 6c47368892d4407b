"""What a hook call tells of the patient and the ECGs: from its prefetch, or read from the EHR's FHIR server.

A prefetch key that is not there was not fetched; `null` says that there is nothing. An OperationOutcome says why it
could not be fetched (CDS Hooks 2.0, section Prefetch Template).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference.errors import DataMissing, InvalidContent
from interop.cds_hooks.request import HookCall
from interop.cds_hooks.services import ECGS_KEY, PATIENT_KEY, REPORTS_KEY, ecgs_query, patient_query
from interop.resources.codes import ECG_CODES, Json
from interop.resources.identifiers import Identifier, identifiers_of
from interop.resources.observation import WITHDRAWN

Fetch = Callable[[str], Awaitable[Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """patient_id: in the EHR. patient: the Patient, None where that is not known. ecgs: Observations that may be ECGs,
    None where nobody could tell. reports: DiagnosticReports. missing: why something is not known."""

    patient_id: str
    patient: Json | None
    ecgs: tuple[Json, ...] | None
    reports: tuple[Json, ...] = ()
    missing: DataMissing | None = None

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Of the patient."""
        return () if self.patient is None else identifiers_of(_listed(self.patient, "identifier"))


async def gather(call: HookCall, fetch: Fetch | None) -> Told:
    """Everything; what is not in the prefetch is fetched, at once. fetch: reads from the EHR's FHIR server, None where
    the call names none.

    Raises InvalidContent for a prefetch of another form. What could not be had is in `Told.missing`.
    """
    patient_id = call.context.patientId
    patient, ecgs = await asyncio.gather(
        _resource(call, PATIENT_KEY, fetch, patient_query(patient_id)),
        _resource(call, ECGS_KEY, fetch, ecgs_query(patient_id)),
    )
    reports = call.prefetch.get(REPORTS_KEY)
    missing = next((one for one in (ecgs, patient) if isinstance(one, DataMissing)), None)
    return Told(
        patient_id=patient_id,
        patient=_patient(patient, patient_id),
        ecgs=None if isinstance(ecgs, DataMissing) else tuple(_ecgs(ecgs)),
        reports=tuple(_of_type(reports, REPORTS_KEY, "DiagnosticReport")) if not _is_outcome(reports) else (),
        missing=missing,
    )


async def _resource(call: HookCall, key: str, fetch: Fetch | None, query: str) -> Json | DataMissing | None:
    """A resource, None where there is none, or why nobody knows."""
    given = call.prefetch.get(key)
    if key in call.prefetch and not _is_outcome(given):
        return given
    told = f"prefetch.{key} is an OperationOutcome" if _is_outcome(given) else f"prefetch.{key} is missing"
    if fetch is None:
        return DataMissing(f"{told}, and the call names no fhirServer to read it from", element=f"prefetch.{key}")
    try:
        return await fetch(query)
    except DataMissing as error:
        return type(error)(f"{told}, and {error.message}", element=f"prefetch.{key}")


def _patient(found: Json | DataMissing | None, patient_id: str) -> Json | None:
    """The Patient. Raises InvalidContent for another resource, and for another patient."""
    if found is None or isinstance(found, DataMissing):
        return None
    place = f"prefetch.{PATIENT_KEY}"
    if found.get("resourceType") != "Patient":
        raise InvalidContent("a Patient is needed", element=place)
    if found.get("id", patient_id) != patient_id:  # never one patient's ECG on another's screen
        raise InvalidContent("the Patient is not the one of context.patientId", element=f"{place}.id")
    return found


def _ecgs(bundle: Json | None) -> Iterator[Json]:
    """The Observations that stand and that are, by their code, an ECG."""
    for one in _of_type(bundle, ECGS_KEY, "Observation"):
        code = one.get("code")
        codings = _listed(code, "coding") if isinstance(code, dict) else []
        named = {(coding.get("system"), coding.get("code")) for coding in codings}
        if one.get("component") and named & ECG_CODES and one.get("status") not in WITHDRAWN:
            yield one


def _of_type(bundle: Json | None, key: str, type: str) -> Iterator[Json]:
    if bundle is None:
        return
    if bundle.get("resourceType") == type:  # a client that has but one
        yield bundle
        return
    entries = bundle.get("entry", [])
    if bundle.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise InvalidContent("a Bundle is needed", element=f"prefetch.{key}")
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and resource.get("resourceType") == type:
            yield resource


def _listed(raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in a member that should be a list of them; this is not our data to refuse."""
    found = raw.get(name, [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_outcome(resource: Json | None) -> bool:
    return resource is not None and resource.get("resourceType") == "OperationOutcome"


def read_by_clinician(reports: Iterable[Json], ecg: Json) -> bool:
    """Whether the EHR has a report on this ECG that a clinician has verified."""
    wanted = f"Observation/{ecg.get('id')}"
    return any(
        report.get("status") in ("final", "amended", "corrected", "appended")
        and any(str(one.get("reference", "")).endswith(wanted) for one in _listed(report, "result"))
        for report in reports
    )
