"""The data sheet of what a release learned from (Gebru et al., Datasheets for Datasets, Commun. ACM 64(12), 2021).

Numbers come from the card, where they were counted when it was made; answers that no count gives are in
`datasheet.json`, for each kind of data set and for all. A question without either says so.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from inference.labels import Superclass
from training.card_texts import PTBXL
from training.markdown import table

SHIPPED = "datasheet.json"
OF_ALL_KINDS = ""
UNKNOWN = "Not available: not recorded."
COUNTED = {"sex": "sex", "age": "age in years", "site": "site", "device": "device"}

Card = Mapping[str, Any]


def datasheet(card: Card) -> str:
    """The data sheet of the data that a model was trained on, Markdown."""
    data = card["data"]
    head = (
        f"# Data sheet: {data['source']}\n\nAs {card['name']} {card['version']} learned from it. {data['citation']}."
        "\n\n"
        "Questions: Gebru et al., Datasheets for Datasets, Commun. ACM 64(12):86 (2021). Counts are those on the "
        "model's card; of the test split no label is counted here but what the model's one look at it has told."
    )
    return "\n\n".join([head, *_sections(card)]) + "\n"


def _sections(card: Card) -> Iterator[str]:
    kind = card["data"].get("kind", PTBXL)
    listed = _listed()
    by_hand = {**listed["answers"][OF_ALL_KINDS], **listed["answers"].get(kind, {})}
    for section in listed["sections"]:
        yield f"## {section['title']}"
        for asked in section["questions"]:
            told = tuple(COUNTS[asked["key"]](card)) if asked["key"] in COUNTS else ()
            answers = (*by_hand.get(asked["key"], ()), *told)
            yield "\n\n".join([f"**{asked['question']}**", *(answers or (UNKNOWN,))])


def _counts(card: Card) -> Iterator[str]:
    composition = card["data"].get("composition")
    if composition is None:
        yield from _old_counts(card["data"]["splits"])
        return
    heads = ["split", "recordings", "patients", *Superclass]
    yield table(heads, [_split_row(name, split, card) for name, split in composition["splits"].items()])
    repeats = composition["training_repeats"]
    if repeats:
        yield f"{repeats:,} of the training recordings are there at a second sampling rate, and were learned from, too."
    yield f"Ids from {composition['ids']['first']} to {composition['ids']['last']}."
    left_out = [f"{count} because {reason}" for reason, count in composition["left_out"].items()]
    yield f"Left out: {'; '.join(left_out) or 'none'}."


def _old_counts(splits: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Of a card from before this was counted."""
    if splits:
        heads = ["split", "recordings", *Superclass]
        yield table(heads, [[name, *(str(found[head]) for head in heads[1:])] for name, found in splits.items()])


def _split_row(name: str, split: Mapping[str, Any], card: Card) -> list[str]:
    """Labels of the test split: from the look that the model had, which the card keeps."""
    looked_at = card["metrics"].get(name, {}).get("classes", {})
    classes = split.get("classes") or looked_at
    positives = (f"{classes[c]['positives']:,}" if c in classes else "not looked at" for c in Superclass)
    return [name, f"{split['recordings']:,}", f"{split['patients']:,}", *positives]


def _groups(card: Card) -> Iterator[str]:
    composition = card["data"].get("composition")
    if composition is None:
        return
    splits = composition["splits"]
    for name, title in COUNTED.items():
        groups = list(dict.fromkeys(group for split in splits.values() for group in split[name]))
        rows = [[group, *(f"{split[name].get(group, 0):,}" for split in splits.values())] for group in groups]
        yield table([title, *splits], rows)


def _licence(card: Card) -> Sequence[str]:
    return (f"{card['data']['licence']}.",)


COUNTS: Mapping[str, Callable[[Card], Iterator[str] | Sequence[str]]] = {
    "counts": _counts,
    "groups": _groups,
    "licence": _licence,
}


@cache
def _listed() -> Mapping[str, Any]:
    listed: Mapping[str, Any] = json.loads(resources.files("training").joinpath(SHIPPED).read_bytes())
    return listed
