"""Whom a resource is about: its `subject`, a Reference that may lead to a contained Patient."""

from collections.abc import Iterator, Mapping
from typing import Any

from interop.resources.codes import Json
from interop.resources.identifiers import identifiers_of
from interop.resources.validation import Problem


def subject_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """R4 leaves the subject optional; what is analysed here names a patient, by reference or by identifier."""
    element, subject = f"{raw['resourceType']}.subject", raw.get("subject")
    if not subject:
        yield Problem(element, "subject is required", missing=True)
    elif isinstance(subject, dict) and not {"reference", "identifier"} & subject.keys():
        yield Problem(element, "subject needs a reference or an identifier", missing=True)


def contained_patient(raw: Mapping[str, Any]) -> Json | None:
    """The contained Patient that `subject` points to. raw: a valid resource."""
    reference = raw["subject"].get("reference", "")
    for resource in raw.get("contained", ()):
        if resource["resourceType"] == "Patient" and reference == f"#{resource.get('id')}":
            return dict(resource)
    return None


def patient_key(subject: Mapping[str, Any], patient: Mapping[str, Any] | None) -> str | None:
    """`system|value` or the reference: what keeps a patient's items in order. None for an unnamed patient. patient: the
    contained one."""
    named = identifiers_of([*((patient or {}).get("identifier", ())), subject.get("identifier", {})])
    if named:
        return named[0].key
    reference: str = subject.get("reference", "")
    return reference if reference and not reference.startswith("#") else None


def seen_from_outside(subject: Mapping[str, Any], patient: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The subject as another resource refers to it. What is contained cannot be referred to: its first identifier
    stands for it, None where it has none."""
    if not subject.get("reference", "").startswith("#"):
        return subject
    named = [item for item in (patient or {}).get("identifier", ()) if item.get("value")]
    return {"type": "Patient", "identifier": named[0]} if named else None
