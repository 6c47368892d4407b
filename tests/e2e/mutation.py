"""Valid JSON made almost valid: what broken, careless and hostile senders send, as hypothesis strategies.

A mutant differs from its seed in one to three places: a member is gone, has another name or another type, is null,
stands in another's place, is out of all range, or nests without end. Some are then broken as text.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import orjson
from hypothesis import strategies as st

Node = tuple[Any, Any]  # a dict or a list, and a key or a place in it
Draw = Callable[[st.SearchStrategy[Any]], Any]

MOST_MUTATIONS = 3
DEEP = 3000

# JSON that a value in the memory of Python cannot stand for, or that no parser likes.
RAW = tuple(
    map(
        orjson.Fragment,
        ("1e400", "-1e400", "1e-400", "9" * 400, f"0.{'1' * 400}", "1E5", "-0", "[" * DEEP + "]" * DEEP),
    )
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 1.5, "", " ", "\x00", "\ud7ff", "0", "x" * 5000, "2026-13-41", "urn:uuid:x",
    "../../x", "Patient?x=1", "#", "E U L", "NaN", [], {}, [None], [[]], {"": None}, {"extension": [{}]},
    {"resourceType": "Patient"}, [{"reference": {"reference": 1}}], {"a": {"a": {"a": {"a": {}}}}},
)  # fmt: skip
NAMES = ("resourceType", "id", "meta", "extension", "_status", "contained", "text", "", "$", "x" * 300, "valueString")
# In place of some bytes of the text.
BYTES = (b"", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b'"', b"{", b"]", b",", b"NaN", b"\\ud800")


def nodes(value: Any) -> Iterator[Node]:
    """Every place in a JSON value."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, below in places:
        yield value, place
        yield from nodes(below)


def _drop(draw: Draw, node: Node, others: list[Node]) -> None:
    del node[0][node[1]]


def _replace(draw: Draw, node: Node, others: list[Node]) -> None:
    node[0][node[1]] = deepcopy(draw(st.sampled_from(VALUES + RAW)))


def _swap(draw: Draw, node: Node, others: list[Node]) -> None:
    parent, place = draw(st.sampled_from(others))
    node[0][node[1]], parent[place] = deepcopy(parent[place]), deepcopy(node[0][node[1]])


def _rename(draw: Draw, node: Node, others: list[Node]) -> None:
    parent, place = node
    if isinstance(parent, dict):
        parent[draw(st.sampled_from(NAMES))] = parent.pop(place)


def _wrap(draw: Draw, node: Node, others: list[Node]) -> None:
    node[0][node[1]] = draw(st.sampled_from(([node[0][node[1]]], {"value": node[0][node[1]]})))


def _repeat(draw: Draw, node: Node, others: list[Node]) -> None:
    parent, place = node
    if isinstance(parent, list):
        parent += [deepcopy(parent[place])] * draw(st.sampled_from((1, 2, 40)))
    else:
        parent[place] = [parent[place]] * 2


MUTATIONS: tuple[Callable[[Draw, Node, list[Node]], None], ...] = (_drop, _replace, _swap, _rename, _wrap, _repeat)


@st.composite
def mutants(draw: Draw, seed: Any) -> bytes:
    """A seed (JSON as Python has it), mutated and as text."""
    value = deepcopy(seed)
    for _ in range(draw(st.integers(0, MOST_MUTATIONS))):
        found = list(nodes(value))
        if found:
            draw(st.sampled_from(MUTATIONS))(draw, draw(st.sampled_from(found)), found)
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return draw(st.one_of(st.just(text), st.just(text), st.just(text), broken(text)))


@st.composite
def broken(draw: Draw, text: bytes) -> bytes:
    """A text with some bytes cut out and others put in their place."""
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.sampled_from((0, 1, 2, 20, len(text)))))
    return text[:start] + bytes(draw(st.sampled_from(BYTES))) + text[end:]
