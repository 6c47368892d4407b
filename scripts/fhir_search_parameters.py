"""Write interop/resources/search_parameters.json from the official FHIR R4 definitions.

    python scripts/fhir_search_parameters.py FOLDER

FOLDER holds `search-parameters.json` and `profiles-resources.json` of FHIR 4.0.1 (the "JSON definitions" archive of
https://hl7.org/fhir/R4/downloads.html). To serve another parameter, add its name to PARAMETERS and run this again; the
service then indexes what it holds anew at its next start.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PARAMETERS: dict[str, tuple[str, ...]] = {
    "Patient": (
        "identifier", "name", "family", "given", "birthdate", "gender", "active", "telecom", "phone", "email",
        "address", "address-city", "address-postalcode", "death-date", "organization", "general-practitioner", "link",
    ),
    "Observation": (
        "identifier", "subject", "patient", "encounter", "code", "category", "status", "date", "derived-from",
        "has-member", "based-on", "device", "performer", "value-quantity", "value-concept", "value-string",
    ),
    "DiagnosticReport": (
        "identifier", "subject", "patient", "encounter", "result", "based-on", "code", "category", "status",
        "conclusion", "date", "issued", "performer", "results-interpreter",
    ),
    "ServiceRequest": (
        "identifier", "subject", "patient", "encounter", "code", "category", "priority", "status", "intent", "authored",
        "occurrence", "based-on", "replaces", "requester", "performer", "requisition",
    ),
    "Device": (
        "identifier", "device-name", "manufacturer", "model", "status", "type", "patient", "organization", "location",
    ),
    "Provenance": ("target", "recorded", "agent", "entity", "patient", "when"),
    "DocumentReference": (
        "identifier", "subject", "patient", "encounter", "status", "type", "category", "date", "author", "contenttype",
        "format", "related",
    ),
    "Binary": (),
    "Task": (
        "identifier", "status", "business-status", "code", "focus", "subject", "patient", "authored-on", "modified",
        "owner", "requester", "intent", "priority", "based-on", "part-of", "group-identifier", "encounter",
    ),
    "AuditEvent": ("date", "type", "subtype", "action", "outcome", "entity", "agent"),
}  # fmt: skip

# What R4 has no parameter for and clients of ours need: name -> (kind, path, what it is).
OWN: dict[str, dict[str, Json]] = {
    "ServiceRequest": {
        "reason": {
            "kind": "reference",
            "paths": ["reasonReference"],
            "targets": ["Condition", "DiagnosticReport", "DocumentReference", "Observation"],
            "url": "urn:ecg-interop:searchparameter:servicerequest-reason",
            "text": "The report that proposes the action",
        }
    }
}

TARGET = Path(__file__).resolve().parents[1] / "interop" / "resources" / "search_parameters.json"
# A parameter that may refer to so many types refers to any.
ANY_TYPE = 100
_PART = re.compile(
    r"\(?(?P<path>[A-Za-z.]+?)(?:\.as\((?P<cast>\w+)\)|\s+as\s+(?P<as>\w+))?\)?(?:\.where\((?P<where>.*)\))?"
)


def main(folder: Path) -> None:
    """Generate the table."""
    found = [entry["resource"] for entry in _read(folder / "search-parameters.json")["entry"]]
    structures = {
        entry["resource"]["id"]: entry["resource"] for entry in _read(folder / "profiles-resources.json")["entry"]
    }
    table = {
        kind: {name: _parameter(_of(found, kind, name), kind, structures[kind]) for name in names} | OWN.get(kind, {})
        for kind, names in PARAMETERS.items()
    }
    lines = [
        f' "{kind}": {{\n'
        + ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in parameters.items())
        + "\n }"
        for kind, parameters in table.items()
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _read(path: Path) -> Json:
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def _of(found: list[Json], type: str, name: str) -> Json:
    return next(one for one in found if one["code"] == name and type in one["base"] and "expression" in one)


def _parameter(official: Json, type: str, structure: Json) -> Json:
    elements = {element["path"]: element for element in structure["snapshot"]["element"]}
    parts = [part.strip() for part in official["expression"].split(" | ")]
    mine = [match for part in parts if (match := _PART.fullmatch(part)) and match["path"].startswith(f"{type}.")]
    if not mine:
        raise SystemExit(f"{type}.{official['code']}: cannot read {official['expression']}")
    paths = [path for match in mine for path in _paths(match, elements)]
    where = {match["where"] for match in mine if match["where"]}
    only = next((m[1] for text in where if (m := re.fullmatch(r"resolve\(\) is (\w+)", text))), None)
    targets = sorted(official.get("target", []))
    described = {
        "kind": official["type"],
        "paths": paths,
        "url": official["url"],
        "targets": [only] if only else targets if 0 < len(targets) < ANY_TYPE else None,
        "system": next((m[1] for text in where if (m := re.fullmatch(r"system='(\w+)'", text))), None),
    }
    return {key: value for key, value in described.items() if value is not None}


def _paths(match: re.Match[str], elements: dict[str, Json]) -> list[str]:
    """The path below the resource, a choice in each of its forms."""
    path = match["path"]
    below = path.partition(".")[2]
    choice = elements.get(f"{path}[x]")
    if choice is None:
        return [below]
    wanted = match["cast"] or match["as"]
    forms = [form["code"] for form in choice["type"] if wanted in (None, form["code"])]
    return [below + form[0].upper() + form[1:] for form in forms]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
