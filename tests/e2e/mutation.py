"""Valid JSON made almost valid: what broken, careless and hostile senders send, as hypothesis strategies.

A mutant differs from its seed in one to three places: a member is gone, has another name or another type, is null,
stands in another's place, is out of all range, or nests without end. Some are then broken as text.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from interop.resources.members import Verbatim, written

Node = tuple[Any, Any]  # a dict or a list, and a key or a place in it
Draw = Callable[[st.SearchStrategy[Any]], Any]

MOST_MUTATIONS = 3
DEEP = 3000

# JSON that no value of Python stands for, or that no parser likes.
RAW = tuple(
    Verbatim(text)
    for text in ("1e400", "-1e400", "1e-400", "9" * 400, f"0.{'1' * 400}", "1E5", "-0", "[" * DEEP + "]" * DEEP)
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 1.5, "", " ", "\x00", "\ud7ff", "0", "x" * 5000, "2026-13-41", "urn:uuid:x",
    "../../x", "Patient?x=1", "#", "E U L", "NaN", [], {}, [None], [[]], {"": None}, {"extension": [{}]},
    {"resourceType": "Patient"}, [{"reference": {"reference": 1}}], {"a": {"a": {"a": {"a": {}}}}},
)  # fmt: skip
NAMES = ("resourceType", "id", "meta", "extension", "_status", "contained", "text", "", "$", "x" * 300, "valueString")
# In place of some bytes of the text.
BYTES = (b"", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b'"', b"{", b"]", b",", b"NaN", b"\\ud800")


def somewhere(draw: Draw, value: Any) -> Node | None:
    """A place in a JSON value, as likely near its root as deep in a long list; None where there is none."""
    found: Node | None = None
    while isinstance(value, dict | list) and value:
        place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        found, value = (value, place), value[place]
        if not draw(st.booleans()):
            break
    return found


def _drop(draw: Draw, node: Node, other: Node) -> None:
    del node[0][node[1]]


def _replace(draw: Draw, node: Node, other: Node) -> None:
    node[0][node[1]] = deepcopy(draw(st.sampled_from(VALUES + RAW)))


def _swap(draw: Draw, node: Node, other: Node) -> None:
    mine, others = deepcopy(node[0][node[1]]), deepcopy(other[0][other[1]])
    node[0][node[1]] = others
    other[0][other[1]] = mine


def _rename(draw: Draw, node: Node, other: Node) -> None:
    parent, place = node
    if isinstance(parent, dict):
        parent[draw(st.sampled_from(NAMES))] = parent.pop(place)


def _wrap(draw: Draw, node: Node, other: Node) -> None:
    value = node[0][node[1]]
    node[0][node[1]] = draw(st.sampled_from(([value], {"value": value})))


def _repeat(draw: Draw, node: Node, other: Node) -> None:
    parent, place = node
    if isinstance(parent, list):
        parent += [deepcopy(parent[place])] * draw(st.sampled_from((1, 2, 40)))
    else:
        parent[place] = [parent[place]] * 2


MUTATIONS: tuple[Callable[[Draw, Node, Node], None], ...] = (_drop, _replace, _swap, _rename, _wrap, _repeat)


@st.composite
def mutants(draw: Draw, seed: Any) -> bytes:
    """A seed (JSON as Python has it), mutated and as text."""
    value = deepcopy(seed)
    for _ in range(draw(st.integers(0, MOST_MUTATIONS))):
        node, other = somewhere(draw, value), somewhere(draw, value)
        if node and other:
            draw(st.sampled_from(MUTATIONS))(draw, node, other)
    text = written(value)
    return _broken(draw, text) if draw(st.sampled_from((False, False, False, True))) else text


def _broken(draw: Draw, text: bytes) -> bytes:
    """A text with some bytes cut out and others put in their place."""
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.sampled_from((0, 1, 2, 20, len(text)))))
    return text[:start] + bytes(draw(st.sampled_from(BYTES))) + text[end:]
