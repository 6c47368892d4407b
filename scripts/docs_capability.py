"""What `/fhir/metadata` and the service's own definitions say, as a page and as the JSON that the service gives."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from interop.fhir.capability import statement
from interop.resources import conformance
from interop.web import installed_version
from scripts.docs_tables import table

# Stands where a running service puts its own address.
BASE = "https://ecg.example.org/fhir"
INTRODUCTION = """\
# FHIR capabilities and codes

Made from the code. [capability-statement.json](capability-statement.json) is what `GET /fhir/metadata` gives, with the
address of an example. What it means is in [FHIR](../fhir.md), what goes in and out in [profiles](../profiles.md), codes
of SNOMED CT and LOINC in [codes](../codes.md)."""


def capability_files() -> dict[str, str | bytes]:
    """The page, the statement and every definition."""
    body = statement(BASE, installed_version(), datetime.now(UTC))
    found: dict[str, str | bytes] = {
        "reference/capability.md": capability_page(orjson.loads(body)),
        "reference/capability-statement.json": body,
    }
    for kind, resources in conformance.resources().items():
        for name, resource in resources.items():
            found[f"reference/definitions/{kind}-{name}.json"] = orjson.dumps(resource)
    return found


def capability_page(statement: dict[str, Any]) -> str:
    """The whole page."""
    (rest,) = statement["rest"]
    rows = [
        (
            resource["type"],
            ", ".join(one["code"] for one in resource.get("interaction", ())),
            ", ".join(f"`${one['name']}`" for one in resource.get("operation", ())),
            resource.get("documentation", ""),
        )
        for resource in rest["resource"]
    ]
    system = ", ".join(one["code"] for one in rest.get("interaction", ()))
    operations = ", ".join(f"`${one['name']}`" for one in rest.get("operation", ()))
    parts = [
        INTRODUCTION,
        f"FHIR {statement['fhirVersion']}, {', '.join(f'`{one}`' for one in statement['format'])}. "
        f"Whole system: {system}; {operations}.",
        "## Types",
        table(("type", "interactions", "operations", ""), rows),
        "## Definitions of our own",
        "Profiles, extensions, search parameters, code systems, value sets and operations; a running service gives "
        "each at `/fhir/[type]/[id]`.",
        table(("type", "id", "url", "what it is"), _definitions()),
        *_code_systems(),
    ]
    return "\n\n".join(parts) + "\n"


def _definitions() -> Iterator[tuple[str, str, str, str]]:
    for kind, resources in conformance.resources().items():
        for name, found in resources.items():
            link = f"[`{name}`](definitions/{kind}-{name}.json)"
            yield kind, link, f"`{found['url']}`", found.get("title") or found.get("description") or found["name"]


def _code_systems() -> Iterator[str]:
    for name, found in conformance.resources().get("CodeSystem", {}).items():
        yield f"## Codes: {found.get('title') or name}"
        yield f"`{found['url']}`"
        rows = [
            (f"`{one['code']}`", one.get("display", ""), one.get("definition", "")) for one in found.get("concept", ())
        ]
        yield table(("code", "display", "definition"), rows)
