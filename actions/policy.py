"""Reading a rules file: JSON -> checked `Policy`.

A hospital may bring its own file (`ECG_RULES`), so everything that is wrong with it is told at once and by rule id:
first the form (policy.schema.json, JSON Schema draft 2020-12), then what a schema cannot say (`actions.checks`).
docs/actions.md explains the file.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from actions.analysis import PolicyInfo, Urgency
from actions.checks import problems_of
from actions.rules import (
    ConclusionKind,
    Limits,
    NormalLimit,
    OrderGroup,
    OrderKind,
    OrderRule,
    Policy,
    Rule,
    When,
    Wording,
)
from inference.errors import PolicyInvalid
from inference.labels import SNOMED_CT, Coding, Superclass
from inference.quality import QualityCode
from inference.recording import Sex

SHIPPED = "policy.json"
SCHEMA = "policy.schema.json"

# The shipped rules take 60 kB; anything near this limit is not a rules file.
MAX_BYTES = 1_000_000


def load_policy(path: Path | None = None) -> Policy:
    """The rules in `path`, or the shipped ones when None. Raises PolicyInvalid with every problem found."""
    name = str(path) if path else "shipped rules"
    content = _read(path, name)
    document = _parse(content, name)
    # Checks beyond the schema take its form for granted, so they run only on a file of that form.
    problems = list(_schema_problems(document)) or problems_of(document)
    if problems:
        raise PolicyInvalid(f"{name}: {'; '.join(problems)}", element=name)
    return _policy(document, hashlib.sha256(content).hexdigest())


def load_schema() -> dict[str, Any]:
    """The JSON Schema of rules files, as shipped."""
    schema: dict[str, Any] = json.loads(resources.files("actions").joinpath(SCHEMA).read_bytes())
    return schema


def _read(path: Path | None, name: str) -> bytes:
    if path is None:
        return resources.files("actions").joinpath(SHIPPED).read_bytes()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PolicyInvalid(f"{name}: larger than {MAX_BYTES} bytes", element=name)
        return path.read_bytes()
    except OSError as error:
        raise PolicyInvalid(f"{name}: cannot be read: {error.strerror}", element=name) from error


def _parse(content: bytes, name: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PolicyInvalid(f"{name}: not JSON: {error}", element=name) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON parsers keep the last of two equal keys in silence: half a rule would be lost."""
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} given twice in one object")
    return dict(pairs)


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _schema_problems(document: Any) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(load_schema()).iter_errors(document)
    for error in sorted(errors, key=lambda e: [str(part).rjust(4, "0") for part in e.absolute_path]):
        yield f"{_place(document, list(error.absolute_path))}: {error.message}"


def _place(document: Any, path: Sequence[str | int]) -> str:
    """Where a problem is, by rule id where there is one: `rule 'mi-urgent' when.probability`."""
    if len(path) >= 2 and path[0] == "rules":
        return _place_in_rule("rule", document["rules"], path[1:])
    if len(path) >= 3 and tuple(path[:2]) == ("orders", "rules"):
        return _place_in_rule("order rule", document["orders"]["rules"], path[2:])
    return ".".join(map(str, path)) or "file"


def _place_in_rule(what: str, rules: Sequence[Any], path: Sequence[str | int]) -> str:
    number = int(path[0])
    rule_id = rules[number].get("id") if isinstance(rules[number], Mapping) else None
    name = f"{what} '{rule_id}'" if isinstance(rule_id, str) and rule_id else f"{what} number {number + 1}"
    return " ".join([name, ".".join(map(str, path[1:]))]).strip()


def _policy(document: Mapping[str, Any], sha256: str) -> Policy:
    settings, sources = document["settings"], document["sources"]
    immediate = float(settings["mi_immediate_probability"])
    orders = document.get("orders", {"groups": {}, "rules": []})
    groups = {group_id: _order_group(group_id, group, sources) for group_id, group in orders["groups"].items()}
    return Policy(
        info=PolicyInfo(name=document["name"], version=document["version"], sha256=sha256),
        mi_immediate_probability=immediate,
        wording=_wording(settings["wording"]),
        normal=tuple(_normal(entry) for entry in settings["normal"]),
        rules=tuple(_rule(rule, sources, immediate) for rule in document["rules"]),
        order_groups=groups,
        order_rules=tuple(_order_rule(rule, groups, sources, immediate) for rule in orders["rules"]),
    )


def _wording(entry: Mapping[str, Any]) -> Wording:
    findings = {Superclass(name): text for name, text in entry["findings"].items()}
    return Wording(normal=entry["normal"], inconclusive=entry["inconclusive"], findings=findings)


def _normal(entry: Mapping[str, Any]) -> NormalLimit:
    sex = Sex(entry["sex"]) if "sex" in entry else None
    return NormalLimit(measurement=entry["measurement"], limits=Limits(**entry["limits"]), sex=sex)


def _rule(entry: Mapping[str, Any], sources: Mapping[str, str], immediate: float) -> Rule:
    code = entry.get("code")
    return Rule(
        id=entry["id"],
        when=_when(entry["when"], immediate),
        action=entry["action"],
        urgency=Urgency(entry["urgency"]),
        rationale=entry["rationale"],
        source=_citations(entry, sources),
        code=Coding(SNOMED_CT, code["code"], code["display"]) if code else None,
    )


def _order_group(group_id: str, entry: Mapping[str, Any], sources: Mapping[str, str]) -> OrderGroup:
    return OrderGroup(
        id=group_id,
        name=entry["name"],
        source=_citations(entry, sources),
        codes=tuple(Coding(code["system"], code["code"], code["display"]) for code in entry.get("codes", ())),
        names=tuple(entry.get("names", ())),
        kind=OrderKind(entry["kind"]) if "kind" in entry else None,
    )


def _order_rule(
    entry: Mapping[str, Any], groups: Mapping[str, OrderGroup], sources: Mapping[str, str], immediate: float
) -> OrderRule:
    return OrderRule(
        id=entry["id"],
        orders=tuple(groups[group_id] for group_id in entry["orders"]),
        when=_when(entry["when"], immediate),
        within=timedelta(hours=entry["within_hours"]),
        action=entry["action"],
        urgency=Urgency(entry["urgency"]),
        rationale=entry["rationale"],
        source=_citations(entry, sources),
        new=entry["when"].get("new", False),
    )


def _citations(entry: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    return " | ".join(sources[key] for key in entry["source"])


def _when(entry: Mapping[str, Any], immediate: float) -> When:
    def classes(key: str) -> frozenset[Superclass]:
        return frozenset(map(Superclass, entry.get(key, ())))

    # A probability may name the setting instead of repeating its number.
    band = {edge: immediate if isinstance(p, str) else p for edge, p in entry.get("probability", {}).items()}
    return When(
        diagnosis=Superclass(entry["diagnosis"]) if "diagnosis" in entry else None,
        probability=Limits(**band),
        with_all=classes("with_all"),
        with_any=classes("with_any"),
        without=classes("without"),
        age=Limits(**entry["age"]) if "age" in entry else None,
        sex=Sex(entry["sex"]) if "sex" in entry else None,
        measurements={name: Limits(**limits) for name, limits in entry.get("measurements", {}).items()},
        quality=frozenset(map(QualityCode, entry.get("quality", ()))),
        conclusion=ConclusionKind(entry["conclusion"]) if "conclusion" in entry else None,
        acute=entry.get("acute"),
    )
