"""Write interop/resources/summary.json from the official FHIR R4 definitions.

    python scripts/fhir_summary.py FOLDER

FOLDER holds `profiles-resources.json` and `profiles-types.json` of FHIR 4.0.1 (the "JSON definitions" archive of
https://hl7.org/fhir/R4/downloads.html). The table says of each element whether a summary has it
(ElementDefinition.isSummary), whether it is mandatory and whether it modifies the meaning of the rest. `type` is there
only where a summary leaves out something further inside. To serve another resource type, add it to RESOURCES and run
this again.
"""

import json
import sys
from pathlib import Path
from typing import Any

from fhir_definitions import ADDED_ELEMENTS

RESOURCES = (
    "Patient",
    "Observation",
    "DiagnosticReport",
    "ServiceRequest",
    "Device",
    "Provenance",
    "AuditEvent",
    "DocumentReference",
    "Binary",
    "Task",
    "Bundle",
    "StructureDefinition",
    "SearchParameter",
    "CodeSystem",
    "ValueSet",
    "OperationOutcome",
    "CapabilityStatement",
)
TARGET = Path(__file__).resolve().parents[1] / "interop" / "resources" / "summary.json"

# Never cut: an extension may hold any type, narrative is markup, and a client needs all of meta.
OPAQUE = ("Extension", "Narrative", "Meta")
# Both are part of the element that they are in, so they go where it goes.
QUALIFIERS = ("id", "extension")

Json = dict[str, Any]
Types = dict[str, dict[str, Json]]


def main(folder: Path) -> None:
    """Generate the table."""
    structures = [s for name in ("resources", "types") for s in _structures(folder / f"profiles-{name}.json")]
    types: Types = {}
    for structure in structures:
        types.update(_types(structure))
    # A resource inside another, such as that of a Bundle's entry, is no element of it.
    resources = {s["name"] for s in structures if s["kind"] == "resource"}
    shortened = _shortened(types, resources)
    table = {name: _rows(types[name], shortened) for name in sorted({*RESOURCES, *_reached(types, shortened)})}
    TARGET.write_text(json.dumps(table, separators=(",", ":")).replace('},"', '},\n"') + "\n", encoding="utf-8")


def _structures(path: Path) -> list[Json]:
    bundle = json.loads(path.read_text(encoding="utf-8"))
    found = [entry["resource"] for entry in bundle["entry"]]
    return [s for s in found if s.get("kind") in ("resource", "complex-type") and s["name"] not in OPAQUE]


def _types(structure: Json) -> Types:
    """The elements of a type and of its backbone elements: type -> JSON name -> description."""
    table: Types = {}
    for element in structure["snapshot"]["element"][1:]:
        if element["path"] in ADDED_ELEMENTS:
            continue
        parent, _, name = element["path"].rpartition(".")
        inner = parent != structure["name"] or structure["kind"] == "complex-type"
        summary = element.get("isSummary", False) or (inner and name in QUALIFIERS)
        row = {"summary": summary, "min": element["min"], "modifier": element.get("isModifier", False)}
        for form, code in _forms(element, name):
            choice = {"choice": name.removesuffix("[x]")} if name.endswith("[x]") else {}
            table.setdefault(parent, {})[form] = {**row, **choice, "type": code}
    return table


def _forms(element: Json, name: str) -> list[tuple[str, str]]:
    """The JSON name and the type of each form of an element; more than one if it is a choice."""
    if "contentReference" in element:
        return [(name, element["contentReference"].removeprefix("#"))]
    codes = [form["code"] for form in element["type"]]
    if not name.endswith("[x]"):
        return [(name, element["path"] if codes[0] in ("BackboneElement", "Element") else codes[0])]
    return [(name.removesuffix("[x]") + code[:1].upper() + code[1:], code) for code in codes]


def _is_kept(row: Json) -> bool:
    return bool(row["summary"] or row["min"] or row["modifier"])


def _shortened(types: Types, resources: set[str]) -> set[str]:
    """The datatypes and backbone elements of which a summary leaves out something, itself or further inside."""
    found: set[str] = set()
    while True:
        more = {
            name
            for name, rows in types.items()
            if name not in resources and any(not _is_kept(row) or row["type"] in found for row in rows.values())
        }
        if more == found:
            return found
        found = more


def _reached(types: Types, shortened: set[str]) -> set[str]:
    """Those of them that a summary of RESOURCES comes to."""
    found: set[str] = set()
    waiting = list(RESOURCES)
    while waiting:
        inside = {row["type"] for row in types[waiting.pop()].values() if _is_kept(row)} & shortened - found
        found |= inside
        waiting += inside
    return found


def _rows(rows: dict[str, Json], shortened: set[str]) -> dict[str, Json]:
    """What is worth writing of each element."""
    return {
        name: {
            key: value
            for key, value in row.items()
            if value and (key != "type" or (value in shortened and _is_kept(row)))
        }
        for name, row in rows.items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
