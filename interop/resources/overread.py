"""A DiagnosticReport as the over-read sees it: what is stored, what a clinician states, what becomes of proposals."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from actions.overread import (
    DecidedBy,
    Fate,
    Overread,
    Practitioner,
    Proposal,
    Reading,
    Report,
    RequestStatus,
    Statement,
    representative,
    superclass_of,
)
from actions.report_status import ReportStatus
from inference.errors import InvalidContent
from inference.labels import SUPERCLASS_NAMES, Coding, Superclass
from interop.resources.codes import OWN_DECIDED_BY_EXTENSION, OWN_OVERREAD_REASON_EXTENSION, Json

# What a clinician may change of a report; who and what it is about, and what it rests on, stays.
CHANGEABLE = frozenset(
    {"id", "meta", "text", "status", "conclusion", "conclusionCode", "resultsInterpreter", "performer", "issued"}
)

_BY_NAME = {name: superclass for superclass, name in SUPERCLASS_NAMES.items()}


def stored_report(raw: Mapping[str, Any], version: int, requests: Iterable[Mapping[str, Any]]) -> Report:
    """The report as it is stored. requests: the ServiceRequests that it proposes."""
    return Report(
        id=raw["id"],
        version=version,
        status=ReportStatus(raw["status"]),
        reading=reading(raw),
        proposals=tuple(_proposal(request) for request in requests),
    )


def statement(raw: Mapping[str, Any], *, seen: int | None, at: datetime) -> Statement:
    """What a clinician states by putting a report. seen: the version that was read. at: when it is stated."""
    return Statement(
        who=practitioner(raw),
        seen=seen,
        at=at,
        status=ReportStatus(raw["status"]),
        reading=reading(raw),
        why=next((one["valueString"] for one in _extensions(raw) if "valueString" in one), None),
    )


def reading(raw: Mapping[str, Any]) -> Reading:
    """What a report concludes."""
    codes, words = [], []
    for concept in raw.get("conclusionCode", ()):
        coded = [one for one in concept.get("coding", ()) if "code" in one]
        found = representative(Coding(one.get("system", ""), one["code"], one.get("display", "")) for one in coded)
        if found:
            codes.append(found)
        elif concept.get("text"):
            words.append(concept["text"])
    return Reading(text=raw.get("conclusion"), codes=tuple(codes), uncoded=tuple(words))


def practitioner(raw: Mapping[str, Any]) -> Practitioner | None:
    """Who interpreted a report: the first who is identified, else the first."""
    found = [_practitioner(one) for one in raw.get("resultsInterpreter", ())]
    return next((one for one in found if one.identified), next(iter(found), None))


def _practitioner(reference: Mapping[str, Any]) -> Practitioner:
    literal, named = reference.get("reference", ""), reference.get("identifier", {})
    identifier = f"{named.get('system', '')}|{named['value']}" if "value" in named else None
    # What is contained or has no address yet is known by its identifier only.
    return Practitioner(reference=None if literal.startswith(("#", "urn:")) else literal or None, identifier=identifier)


def check_unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raises InvalidContent, with every element, where an over-read changes what is not a clinician's to change."""
    names = sorted((before.keys() | after.keys()) - CHANGEABLE - {"extension"})
    changed = [name for name in names if before.get(name) != after.get(name)]
    if _others(before) != _others(after):
        changed.append("extension")
    if changed:
        problems = [(f"DiagnosticReport.{name}", "an over-read does not change it") for name in changed]
        raise InvalidContent(
            f"an over-read does not change {', '.join(changed)}", element=problems[0][0], problems=problems
        )


def changed_request(raw: Mapping[str, Any], fate: Fate) -> Json:
    """The members of a proposal that an over-read sets. Its intent stays `proposal`."""
    others = [one for one in raw.get("extension", ()) if one["url"] != OWN_DECIDED_BY_EXTENSION]
    decided = {"url": OWN_DECIDED_BY_EXTENSION, "valueCode": fate.decided_by.value}
    return {"status": fate.after.value, "extension": [*others, decided]}


def detail(overread: Overread) -> Json:
    """The whole of an over-read, as it is kept: who, when, before, after, why."""
    return {
        "report": overread.report_id,
        "version": overread.version,
        "who": {"reference": overread.who.reference, "identifier": overread.who.identifier},
        "at": overread.at.isoformat(),
        "status": {"before": overread.status_before, "after": overread.status_after},
        "before": _reading_json(overread.before),
        "after": _reading_json(overread.after),
        "agreed": overread.agreed,
        "why": overread.why,
        "requests": {
            fate.proposal_id: {"before": fate.before, "after": fate.after, "decided_by": fate.decided_by}
            for fate in overread.fates
        },
        "truth": {superclass.value: known for superclass, known in overread.truth.items()},
    }


def _reading_json(found: Reading) -> Json:
    codes = [{"system": one.system, "code": one.code, "display": one.display} for one in found.codes]
    return {"text": found.text, "codes": codes, "uncoded": list(found.uncoded)}


def _proposal(raw: Mapping[str, Any]) -> Proposal:
    decided = next(
        (one.get("valueCode") for one in raw.get("extension", ()) if one["url"] == OWN_DECIDED_BY_EXTENSION), None
    )
    return Proposal(
        id=raw["id"],
        status=RequestStatus(raw["status"]),
        diagnosis=next(_diagnoses(raw), None),
        decided_by=DecidedBy(decided) if decided else None,
    )


def _diagnoses(raw: Mapping[str, Any]) -> Iterator[Superclass]:
    """The finding behind a request, as `interop.resources.requests` writes it."""
    for concept in raw.get("reasonCode", ()):
        for one in concept.get("coding", ()):
            if found := superclass_of(Coding(one.get("system", ""), one.get("code", ""), "")):
                yield found
        if concept.get("text") in _BY_NAME:
            yield _BY_NAME[concept["text"]]


def _extensions(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in raw.get("extension", ()) if one["url"] == OWN_OVERREAD_REASON_EXTENSION]


def _others(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in raw.get("extension", ()) if one["url"] != OWN_OVERREAD_REASON_EXTENSION]
