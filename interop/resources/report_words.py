"""What a DiagnosticReport and what belongs to it say to a person, in words that every format for people shows alike."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from actions.conclusion import NOT_ASSESSED
from interop.resources.codes import OWN_MODEL_STATUS_EXTENSION, OWN_MODEL_WAIVER_EXTENSION, SILENT
from interop.resources.findings import MEASUREMENTS
from interop.resources.requests import PRIORITIES
from interop.resources.times import Precision, moment

Resource = Mapping[str, Any]

# DiagnosticReport.status in words; another status is named as it is.
STATUS_WORDS = {
    "preliminary": "PRELIMINARY - AI-generated, to be confirmed by a clinician",
    "final": "FINAL - read by a clinician",
    "amended": "AMENDED - changed by a clinician after it was final",
    "corrected": "CORRECTED - by a clinician, after it was final",
    "appended": "APPENDED - added to by a clinician after it was final",
    "cancelled": "CANCELLED - the ECG could not be interpreted automatically",
    "entered-in-error": "WITHDRAWN - entered in error, not to be used",
}
SILENT_WORDS = "SILENT MODE - not for clinical use"
# FHIR's request-priority, the most urgent first; a request without one is routine.
PRIORITY_ORDER = ("stat", "asap", "urgent", "routine")
URGENCY_WORDS = {priority: urgency.value.upper() for urgency, priority in PRIORITIES.items()}
ORDER_NUMBERS = {"PLAC": "Order (placer)", "FILL": "Order (filler)"}
DISCLAIMER = (
    "Clinical decision support: no diagnosis and no order. Intended for resting 12-lead ECGs of adults. A clinician "
    f"has to confirm it, with the tracing and the patient in view. {NOT_ASSESSED}"
)


def name(report: Resource) -> str:
    """How FHIR refers to it."""
    return f"DiagnosticReport/{report.get('id', '')}"


def version(report: Resource) -> str:
    """Of its FHIR resource."""
    return str(report.get("meta", {}).get("versionId", "not stated"))


def status(report: Resource) -> str:
    """Its status, and who made it so."""
    stated = report.get("status", "unknown")
    return STATUS_WORDS.get(stated, f"{stated.upper()} - AI-generated")


def is_silent(report: Resource) -> bool:
    """Whether it was made in silent mode."""
    return any(tag.get("code") == SILENT for tag in report.get("meta", {}).get("tag", ()))


def who(reference: Resource) -> str:
    """Identifier and address of somebody, empty where neither is stated; a display name may be anybody's."""
    return ", ".join(filter(None, (_identifier(reference.get("identifier", {})), reference.get("reference"))))


def patient(report: Resource) -> str:
    """Whom it is about, as it names them."""
    return who(report.get("subject", {})) or "not identified"


def interpreters(report: Resource) -> list[str]:
    """The clinicians who read it."""
    return [who(one) or "not identified" for one in report.get("resultsInterpreter", ())]


def order_numbers(report: Resource) -> Iterator[tuple[str, str]]:
    """What each number is, and the number."""
    for identifier in report.get("identifier", ()):
        codes = [coding.get("code") for coding in identifier.get("type", {}).get("coding", ())]
        yield from ((ORDER_NUMBERS[code], _identifier(identifier)) for code in codes if code in ORDER_NUMBERS)


def _identifier(identifier: Resource) -> str:
    value, system = identifier.get("value", ""), identifier.get("system")
    return f"{value} ({system})" if value and system else value


def age(years: float | None) -> str:
    """In years, of small children in months."""
    if years is None:
        return "not stated"
    return f"{int(years)} years" if years >= 2 else f"{int(years * 12)} months"


def recorded(report: Resource, recorded_at: datetime | None) -> str:
    """As precisely as the report says it: a day without a time gets none. recorded_at: where it says nothing."""
    stated = effective(report)
    if stated is not None:
        when = moment(stated)
        return clock(when.at) if when.precision is Precision.TIME else stated
    return clock(recorded_at) if recorded_at else "not stated"


def effective(report: Resource) -> str | None:
    """When the ECG was recorded or began to be, as the report states it."""
    stated = report.get("effectiveDateTime") or report.get("effectivePeriod", {}).get("start")
    return str(stated) if stated else None


def clock(at: datetime) -> str:
    """An aware time to the second, with its offset."""
    offset = f"{at:%z}"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" + (f"{offset[:3]}:{offset[3:5]}" if at.utcoffset() else "")


def model(report: Resource, device: Resource | None) -> str:
    """Name, version and status of the model. device: None where none was run."""
    if device is None:
        return "none was run" if report.get("status") == "cancelled" else "named in the conclusion"
    extensions = {extension["url"]: extension for extension in report.get("extension", ())}
    state = extensions.get(OWN_MODEL_STATUS_EXTENSION, {}).get("valueCode")
    waived = extensions.get(OWN_MODEL_WAIVER_EXTENSION, {}).get("valueString")
    names = [one["name"] for one in device.get("deviceName", ())]
    remarks = "; ".join(filter(None, (state, waived)))
    return " ".join([*names[:1], device.get("modelNumber", ""), f"({remarks})" if remarks else ""]).strip()


def conclusion(report: Resource) -> str:
    """What it concludes."""
    return str(report.get("conclusion", "none is stated"))


def intervals(measurements: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Name and value of every interval, also of one that could not be measured."""
    values = {item.get("code", {}).get("text"): item.get("valueQuantity") for item in measurements}
    for measurement in MEASUREMENTS:
        found = values.get(measurement.text)
        yield measurement.text, f"{found['value']:g} {found.get('unit', '')}" if found else "not measured"


def ranked(requests: Sequence[Resource]) -> list[Resource]:
    """The proposals, the most urgent first and what was revoked last. One that was entered in error is none."""
    return sorted((one for one in requests if one.get("status") != "entered-in-error"), key=_rank)


def urgency(request: Resource) -> str:
    """How urgent a proposal is."""
    return URGENCY_WORDS.get(_priority(request), _priority(request).upper())


def action(request: Resource) -> str:
    """What it proposes."""
    return str(request.get("code", {}).get("text", "not named"))


def notes(request: Resource) -> list[str]:
    """Its rationale, then its confidence and rule, then its source."""
    return [note["text"] for note in request.get("note", ())]


def _rank(request: Resource) -> tuple[bool, int]:
    return request.get("status") == "revoked", PRIORITY_ORDER.index(_priority(request))


def _priority(request: Resource) -> str:
    return str(request.get("priority", "routine"))
