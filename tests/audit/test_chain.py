import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import MAX_PROBLEMS, Anchor, Head, Link, Verifier, first_entry, link, named_heads
from audit.records import AuditEntry, ChainReport
from tests.audit.values import NOW, entry


def chained(entries: list[AuditEntry], chain_id: str = "a") -> list[Link]:
    links: list[Link] = []
    head = Head()
    for each in entries:
        links.append(link(chain_id, head, each))
        head = Head(links[-1].seq, links[-1].hash)
    return links


def verify(links: list[Link], *anchors: Anchor) -> ChainReport:
    verifier = Verifier(anchors)
    for each in links:
        verifier.check(each)
    return verifier.finish()


def end(links: list[Link]) -> Anchor:
    return Anchor(links[-1].chain_id, Head(links[-1].seq, links[-1].hash), "the heads file")


def test_the_hash_is_what_the_documentation_says() -> None:
    # Computed outside this code: printf of each text behind its length as eight bytes, piped into sha256sum.
    assert chained([entry()])[0].hash == "a7a6c953d972fbcf6accebc488cdb736bcb091cabe1c5a21e344b25d537aaf92"


def test_an_untouched_chain_verifies_also_without_payloads() -> None:
    links = chained([entry(str(n)) for n in range(5)])
    report = verify([replace(links[0], payload=None), *links[1:]], end(links))
    assert (report.entries, report.problems) == (5, ())
    assert report.heads == {"a": (5, links[-1].hash)}


def test_deleted_payloads_are_counted() -> None:
    links = chained([entry(str(n)) for n in range(5)])
    assert verify(links).payloads_gone == 0
    assert verify([replace(it, payload=None) for it in links[:3]] + links[3:]).payloads_gone == 3


def test_a_part_of_a_chain_verifies_from_the_entry_before_it() -> None:
    links = chained([entry(str(n)) for n in range(6)])
    for start, problems in ((Head(2, links[1].hash), 0), (Head(2, links[0].hash), 1), (Head(1, links[0].hash), 1)):
        verifier = Verifier([end(links)], {"a": start})
        for each in links[2:]:
            verifier.check(each)
        report = verifier.finish()
        assert (report.entries, len(report.problems)) == (4, problems)


def flipped(text: str) -> str:
    return text[:-1] + ("0" if text[-1:] != "0" else "1")


CHANGES: dict[str, Callable[[Link], Link]] = {
    "chain_id": lambda it: replace(it, chain_id=it.chain_id + "x"),
    "seq": lambda it: replace(it, seq=it.seq + 7),
    "prev_hash": lambda it: replace(it, prev_hash=flipped(it.prev_hash)),
    "hash": lambda it: replace(it, hash=flipped(it.hash)),
    "event": lambda it: replace(it, event="mode.changed"),
    "recorded_at": lambda it: replace(it, recorded_at=it.recorded_at + timedelta(microseconds=1)),
    "subject": lambda it: replace(it, subject=it.subject + " "),
    "correlation_id": lambda it: replace(it, correlation_id=flipped(it.correlation_id)),
    "payload_sha256": lambda it: replace(it, payload_sha256=flipped(it.payload_sha256)),
    "payload": lambda it: replace(it, payload=(it.payload or b"") + b" "),
}

ENTRIES = st.lists(
    st.builds(
        entry,
        st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        payload=st.binary(max_size=20),
    ),
    min_size=1,
    max_size=6,
)


@given(ENTRIES, st.sampled_from(sorted(CHANGES)), st.data())
def test_any_change_of_any_field_of_any_entry_is_found(
    entries: list[AuditEntry], field: str, data: st.DataObject
) -> None:
    assert set(CHANGES) == set(Link.__slots__)
    links = chained(entries)
    place = data.draw(st.integers(0, len(links) - 1))
    changed = [*links[:place], CHANGES[field](links[place]), *links[place + 1 :]]
    assert verify(sorted(changed, key=lambda it: (it.chain_id, it.seq)), end(links)).problems


@given(ENTRIES, st.data())
def test_any_removed_run_of_entries_is_found(entries: list[AuditEntry], data: st.DataObject) -> None:
    links = chained(entries)
    start = data.draw(st.integers(0, len(links) - 1))
    stop = data.draw(st.integers(start + 1, len(links)))
    assert verify(links[:start] + links[stop:], end(links)).problems


@given(ENTRIES, st.data())
def test_a_chain_rewritten_with_right_hashes_is_found_by_the_kept_head(
    entries: list[AuditEntry], data: st.DataObject
) -> None:
    links = chained(entries)
    place = data.draw(st.integers(0, len(links) - 1))
    forged = chained([*entries[:place], replace(entries[place], subject="forged"), *entries[place + 1 :]])
    if entries[place].subject != "forged":
        assert verify(forged).problems == ()
        assert verify(forged, end(links)).problems


def test_texts_cannot_move_between_neighbouring_fields() -> None:
    first = replace(entry("ab"), correlation_id="c")
    second = replace(entry("a"), correlation_id="bc")
    assert chained([first])[0].hash != chained([second])[0].hash


def test_a_cut_end_without_a_kept_head_is_the_one_thing_that_a_chain_cannot_show() -> None:
    links = chained([entry(str(n)) for n in range(5)])
    assert verify(links[:3]).problems == ()
    (problem,) = verify(links[:3], end(links)).problems
    assert (problem.seq, problem.text) == (4, "entry 4 is missing: the heads file names entry 5")


def test_a_first_entry_names_the_heads_of_other_chains() -> None:
    heads = {"a": Head(3, "ff"), "b": Head(1, "00")}
    first = first_entry("c", heads, entry())
    assert (first.subject, first.recorded_at) == ("c", NOW)
    assert named_heads(first.payload) == heads


@given(st.binary() | st.text().map(lambda text: json.dumps(text).encode()))
def test_a_payload_that_is_no_first_entry_names_nothing(payload: bytes) -> None:
    assert named_heads(payload) == {}


@pytest.mark.parametrize("heads", [{"a": 1}, {"a": ["x", "y"]}, {"a": [1]}, [], None])
def test_heads_that_are_none_name_nothing(heads: object) -> None:
    assert named_heads(json.dumps({"heads": heads}).encode()) == {}


def test_the_report_of_a_wholly_broken_trail_stays_small() -> None:
    links = [replace(it, subject="x") for it in chained([entry(str(n)) for n in range(MAX_PROBLEMS + 10)])]
    report = verify(links)
    assert (len(report.problems), report.entries) == (MAX_PROBLEMS, MAX_PROBLEMS + 10)
