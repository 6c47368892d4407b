"""The reference of the HTTP interface, of the description that `/openapi.json` gives."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from actions.analysis import Mode
from interop.health import Health
from interop.intake import Intake
from interop.metrics import Metrics
from interop.settings import Settings
from interop.web import create_app
from scripts.docs_tables import table

FHIR = "FHIR R4"
INTRODUCTION = """\
# REST

Every path that the service answers, made from its own description: [openapi.json](openapi.json), which a running
service gives at `/openapi.json` and shows at `/docs`. Errors are [problem details](../errors.md), below `/fhir`
OperationOutcomes.
Pages for people are not in it: [`/ecg/{id}`](../ecg-page.md) and [`/monitoring`](../monitoring.md#the-page)."""


def description() -> dict[str, Any]:
    """The OpenAPI description. No service runs behind it: nothing of what is left out is touched by describing."""
    absent: Any = None
    intake = Intake(
        analyzer=absent, lane=absent, writer=absent, readers=absent, metrics=Metrics(),
        clock=lambda: datetime.now(UTC), ids=absent, mode=Mode.LIVE,
    )  # fmt: skip
    return create_app(intake, Settings(_env_file=None), Health({})).openapi()


def rest_files() -> dict[str, str | bytes]:
    """The page, and the description beside it."""
    found = description()
    return {"reference/rest.md": rest_page(found), "reference/openapi.json": orjson.dumps(found)}


def rest_page(found: dict[str, Any]) -> str:
    """The whole page: operations by door, those of FHIR as one table."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    tags = list(dict.fromkeys(operation["tags"][0] for *_, operation in operations))
    parts = [INTRODUCTION]
    for tag in sorted(tags, key=lambda tag: tag == FHIR):
        parts.append(f"## {tag}")
        own = [entry for entry in operations if entry[2]["tags"][0] == tag]
        parts += [_fhir_table(own)] if tag == FHIR else [_operation(*entry) for entry in own]
    return "\n\n".join(parts) + "\n"


def _fhir_table(operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    methods: dict[str, list[str]] = {}
    for method, path, _ in operations:
        methods.setdefault(path, []).append(method)
    rows = [(f"`{path}`", ", ".join(found)) for path, found in sorted(methods.items())]
    return (
        "What each does, its parameters and its answers: [FHIR](../fhir.md). An update, patch or delete without an id "
        "is conditional, by the search in its URL.\n\n" + table(("path", "methods"), rows)
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"### `{method} {path}`", f"{operation['summary']}."]
    parameters = [
        (f"`{one['name']}`", one["in"], _kind(one["schema"]), one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    if parameters:
        parts.append(table(("parameter", "in", "type", "what it is"), parameters))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts += [f"Body, `{media_type}`:", *_schema(content.get("schema", {}))]
    rows = [
        (status, answer["description"], ", ".join(f"`{name}`" for name in answer.get("content", {})))
        for status, answer in operation["responses"].items()
    ]
    parts.append(table(("answer", "when", "media type"), rows))
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "properties" in answer:
        parts += ["Members of the answer:", *_schema(answer)]
    return "\n\n".join(parts)


def _schema(schema: dict[str, Any]) -> Iterator[str]:
    rows = list(_members(schema))
    yield table(("member", "type", "", "what it is"), rows) if rows else "any object."


def _members(schema: dict[str, Any], before: str = "") -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        whole = f"{before}{name}"
        yield f"`{whole}`", _kind(part), "required" if name in required else "", _said(part)
        yield from _members(part, f"{whole}.")
        yield from _members(part.get("items", {}), f"{whole}[].")


def _said(schema: dict[str, Any]) -> str:
    parts = [schema.get("description", "")]
    if "default" in schema:
        parts.append(f"default `{schema['default']}`")
    if "examples" in schema:
        parts.append("such as " + ", ".join(f"`{one}`" for one in schema["examples"]))
    return "; ".join(filter(None, parts))


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [f"{sign} {schema[name]:g}" for name, sign in (("minimum", "≥"), ("maximum", "≤")) if name in schema]
    return " ".join([f"{kind} ({schema['format']})" if "format" in schema else kind, *limits])
