"""The source attributes of the intervention: what its users must be able to read about it.

ONC's rule HTI-1 asks them of every predictive decision support intervention, 31 in nine categories (45 CFR
170.315(b)(11)(iv)(B)(1) to (9)). Which they are and what no record holds stands in `source_attributes.json`; everything
else is told from the card of the model and from the rules (`training.card_facts`), each with where it comes from. What
is not known is said to be so.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from actions.analysis import PolicyInfo
from actions.rules import Policy
from training.card_facts import FACTS, Fact

SHIPPED = "source_attributes.json"
BY_HAND = f"text: training/{SHIPPED}"
NOT_AVAILABLE = "Not available: "
# Small Roman numerals: no category has more.
NUMERALS = ("(i)", "(ii)", "(iii)", "(iv)", "(v)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute. paragraph: of the regulation, such as (7)(ii). lines: what is said. sources: where from."""

    paragraph: str
    key: str
    title: str
    lines: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def is_available(self) -> bool:
        """Whether anything is said but that it is not known."""
        return any(not line.startswith(NOT_AVAILABLE) for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One of the nine."""

    paragraph: str
    title: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAttributes:
    """All of them, of one model with one set of rules. files: name -> SHA-256."""

    regulation: str
    name: str
    version: str
    status: str
    created: str
    files: Mapping[str, str]
    rules: PolicyInfo
    categories: tuple[Category, ...]


def source_attributes(card: Mapping[str, Any], policy: Policy) -> SourceAttributes:
    """What the card of a model and the rules say. Raises ValueError for an attribute that nothing is said of."""
    listed = _listed()
    return SourceAttributes(
        regulation=listed["regulation"],
        name=card["name"],
        version=card["version"],
        status=card["status"],
        created=card["created"],
        files=dict(card["files"]),
        rules=policy.info,
        categories=tuple(_category(category, card, policy) for category in listed["categories"]),
    )


def attributes_json(found: SourceAttributes) -> dict[str, Any]:
    """For a program."""
    return {
        "regulation": found.regulation,
        "model": {
            "name": found.name,
            "version": found.version,
            "status": found.status,
            "created": found.created,
            "files": dict(found.files),
        },
        "rules": {"name": found.rules.name, "version": found.rules.version, "sha256": found.rules.sha256},
        "categories": [
            {
                "paragraph": category.paragraph,
                "title": category.title,
                "attributes": [
                    {
                        "paragraph": attribute.paragraph,
                        "key": attribute.key,
                        "title": attribute.title,
                        "available": attribute.is_available,
                        "value": list(attribute.lines),
                        "sources": list(attribute.sources),
                    }
                    for attribute in category.attributes
                ],
            }
            for category in found.categories
        ],
    }


def attributes_markdown(found: SourceAttributes) -> str:
    """For a person."""
    return "\n\n".join(_parts(found)) + "\n"


def _parts(found: SourceAttributes) -> Iterator[str]:
    yield f"# Source attributes of {found.name} {found.version}"
    yield (
        f"The {sum(len(category.attributes) for category in found.categories)} source attributes of a predictive "
        f"decision support intervention (ONC HTI-1, {found.regulation}), for the model ({found.status}, made "
        f"{found.created}) with the rules {found.rules.name} {found.rules.version} (SHA-256 {found.rules.sha256}). "
        "Made from the model's card, the rules and texts for what no record holds, each with where it comes from; a "
        "service shows those of the model and rules in force at `/model`."
    )
    for category in found.categories:
        yield f"## {category.paragraph} {category.title}"
        for attribute in category.attributes:
            yield f"### {attribute.paragraph} {attribute.title}"
            yield "\n".join(f"- {line}" for line in attribute.lines)
            yield f"From {'; '.join(attribute.sources)}."


def _category(listed: Mapping[str, Any], card: Mapping[str, Any], policy: Policy) -> Category:
    numbered = zip(NUMERALS, listed["attributes"], strict=False)
    return Category(
        paragraph=listed["paragraph"],
        title=listed["title"],
        attributes=tuple(
            _attribute(f"{listed['paragraph']}{numeral}", attribute, card, policy) for numeral, attribute in numbered
        ),
    )


def _attribute(paragraph: str, listed: Mapping[str, Any], card: Mapping[str, Any], policy: Policy) -> Attribute:
    by_hand = tuple(listed.get("text", ()))
    fact = FACTS[listed["key"]](card, policy) if listed["key"] in FACTS else Fact((), ())
    if not by_hand and not fact.lines:
        raise ValueError(f"nothing is said of source attribute {paragraph} {listed['key']}")
    return Attribute(
        paragraph=paragraph,
        key=listed["key"],
        title=listed["title"],
        lines=(*by_hand, *fact.lines),
        sources=(*((BY_HAND,) if by_hand else ()), *fact.sources),
    )


@cache
def _listed() -> Mapping[str, Any]:
    listed: Mapping[str, Any] = json.loads(resources.files("training").joinpath(SHIPPED).read_bytes())
    return listed
