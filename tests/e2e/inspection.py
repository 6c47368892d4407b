"""What a store holds, compared with what the senders know: lost, doubled, half there.

Written against the tables, not against the code that fills them: a part that is missing must show.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, select

from audit.columns import as_key
from audit.criteria import Row
from audit.engine import connect
from audit.packed import decompressed
from audit.records import AuditEvent, ProcessingState
from audit.schema import analyses, audit_entries, claims, document_index, document_ranges, documents, inbox, outbox
from audit.store import open_store
from interop.resources.index import index_rows
from tests.e2e.traffic import Kind, Ledger

# What a row of an index says, in text or as a range.
ROW = ("name", "value", "low", "high", "code", "system")
ANALYSED = (AuditEvent.ECG_ANALYSED, AuditEvent.ECG_UNINTERPRETABLE)


@dataclass
class Findings:
    """lost: acknowledged, but not there. doubled: there more than once. half: a part without its whole. broken: what
    `audit verify` says."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            self.lost + other.lost, self.doubled + other.doubled, self.half + other.half, self.broken + other.broken
        )


class Inspection:
    """Looks at one database, as often as wanted; a document is looked at once, for it never changes."""

    def __init__(self, url: str, unknown: Collection[str] = ()) -> None:
        """unknown: names of index rows that another version makes."""
        self._url = url
        self._unknown = unknown
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}

    def findings(self, ledger: Ledger) -> Findings:
        """Everything that is wrong."""
        found = Findings()
        with self._snapshot() as connection:
            self._read_documents(connection, found)
            _check_inbox(connection, ledger, found)
            _check_analyses(connection, found)
            self._check_fhir(connection, ledger, found)
            self._check_wholes(connection, found)
            _check_trail(connection, found)
            _check_outbox(connection, found)
        store = open_store(self._url, chain_id="inspection")
        found.broken += [problem.text for problem in store.verify().problems]
        store.close()
        return found

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        engines = connect(self._url)
        try:
            with engines.reader.connect() as connection:
                yield connection
        finally:
            engines.dispose()

    def _read_documents(self, connection: Connection, found: Findings) -> None:
        """Read the new ones, and compare their index rows with their content."""
        keys = connection.execute(select(documents.c.type, documents.c.id, documents.c.version)).all()
        _once(found, "document", ((row.type, row.id) for row in keys))
        new = {(row.type, row.id) for row in keys} - set(self._seen)
        rows: defaultdict[tuple[str, str], set[tuple[Any, ...]]] = defaultdict(set)
        for table in (document_index, document_ranges):
            for row in connection.execute(select(table)):
                if row.name in self._unknown:
                    continue
                if (row.type, row.id) in new:
                    rows[row.type, row.id].add(tuple(row._mapping[name] for name in ROW if name in row._mapping))
                elif (row.type, row.id) not in self._seen:
                    found.half.append(f"index rows without {row.type}/{row.id}")
        for key in new:
            one = select(documents.c.content).where(documents.c.type == key[0], documents.c.id == key[1])
            resource = orjson.loads(decompressed(connection.execute(one).scalar_one()))
            wanted = {tuple(_stored(row, name) for name in ROW if hasattr(row, name)) for row in index_rows(resource)}
            if rows[key] != wanted:
                found.half.append(f"{key[0]}/{key[1]} has other index rows than its content says")
            self._seen[key] = resource

    def _check_fhir(self, connection: Connection, ledger: Ledger, found: Findings) -> None:
        """Each acknowledged Observation, and no other with its identifier."""
        holders = Counter(
            identifier["value"] for resource in self._of("Observation") for identifier in resource.get("identifier", ())
        )
        reported = Counter(reference for report in self._of("DiagnosticReport") for reference in _results(report))
        for key, item in ledger.sent.items():
            if item.kind is not Kind.FHIR:
                continue
            if holders[key] > 1:
                found.doubled.append(f"Observations with identifier {key}")
            place = ledger.answers.get(key, b"").decode()
            if place and ("Observation", place.partition("/")[2]) not in self._seen:
                found.lost.append(f"{place} with identifier {key}")
            if place and reported[place] != 1:
                found.half.append(f"{place} has {reported[place]} reports")

    def _check_wholes(self, connection: Connection, found: Findings) -> None:
        """Reports, their results and their provenance belong together; nothing stands alone."""
        there = {"/".join(key) for key in self._seen}
        reports = {name for name in there if name.startswith("DiagnosticReport/")}
        stored = {f"DiagnosticReport/{key}" for key in connection.execute(select(analyses.c.id)).scalars()}
        found.half += [f"{name} is a report without analysis, or the reverse" for name in reports ^ stored]
        results = {reference for report in self._of("DiagnosticReport") for reference in _results(report)}
        made: Counter[str] = Counter()
        for provenance in self._of("Provenance"):
            made.update(target["reference"] for target in provenance["target"])
        found.half += [f"{name} is referred to and not there" for name in (results | set(made)) - there]
        found.half += [f"{name} has {made[name]} provenances" for name in reports if made[name] != 1]
        owned = {name for name in there if name.startswith(("Observation/", "ServiceRequest/"))}
        found.half += [f"{name} belongs to no report" for name in owned - results - set(made)]
        owners = set(connection.execute(select(claims.c.owner)).scalars())
        found.half += [f"a claim of {owner}, which is not there" for owner in owners - there]

    def _of(self, wanted: str) -> Iterator[dict[str, Any]]:
        return (resource for key, resource in self._seen.items() if key[0] == wanted)


def _stored(row: Row, name: str) -> object:
    """A part of an index row as the store keeps it."""
    value = getattr(row, name)
    return value if isinstance(value, float) else as_key(value or "")


def _results(report: dict[str, Any]) -> list[str]:
    return [result["reference"] for result in report.get("result", ())]


def _once(found: Findings, what: str, keys: Iterable[object]) -> None:
    found.doubled += [f"{what} {key}: {number} times" for key, number in Counter(keys).items() if number > 1]


def _check_inbox(connection: Connection, ledger: Ledger, found: Findings) -> None:
    """Each acknowledged message once, with the answer that its sender got; none that nobody sent."""
    columns = (inbox.c.control_id, inbox.c.content, inbox.c.answer, inbox.c.processing)
    rows = connection.execute(select(*columns).where(inbox.c.door == "mllp")).all()
    _once(found, "message", (row.control_id for row in rows))
    stored = {row.control_id: row for row in rows}
    for key, item in ledger.sent.items():
        row = stored.get(key)
        if item.kind is Kind.FHIR:
            continue
        if row is None:
            found.lost += [f"message {key}"] if key in ledger.answers else []
            continue
        if row.content != item.content:
            found.half.append(f"message {key} is not stored as it was sent")
        if key in ledger.answers and row.answer != ledger.answers[key]:
            found.doubled.append(f"message {key} has another answer than its sender got")
        wanted = ProcessingState.ANALYSED if item.kind is Kind.ORU else ProcessingState.NOTHING_TO_ANALYSE
        if row.processing != wanted or row.answer is None:
            found.half.append(f"message {key} is {row.processing}")


def _check_analyses(connection: Connection, found: Findings) -> None:
    """An analysed item has its analysis, and each analysis its item."""
    analysed = {
        row.id: row.analysis_id
        for row in connection.execute(select(inbox.c.id, inbox.c.analysis_id, inbox.c.processing))
        if row.processing == ProcessingState.ANALYSED
    }
    stored = {row.id: row.inbox_id for row in connection.execute(select(analyses.c.id, analyses.c.inbox_id))}
    found.half += [f"item {item} without analysis" for item, analysis in analysed.items() if analysis not in stored]
    found.half += [f"analysis {key} without its item" for key, item in stored.items() if analysed.get(item) != key]


def _check_trail(connection: Connection, found: Findings) -> None:
    """Exactly one entry for each analysis, and for each item that was nothing to analyse."""
    rows = connection.execute(select(audit_entries.c.event, audit_entries.c.subject)).all()
    of_analyses = Counter(row.subject for row in rows if row.event in ANALYSED)
    of_items = Counter(row.subject for row in rows if row.event == AuditEvent.MESSAGE_IGNORED)
    made = {f"DiagnosticReport/{key}" for key in connection.execute(select(analyses.c.id)).scalars()}
    ignored = select(inbox.c.id).where(inbox.c.processing == ProcessingState.NOTHING_TO_ANALYSE)
    kept = {f"inbox/{key}" for key in connection.execute(ignored).scalars()}
    for wanted, entries in ((made, of_analyses), (kept, of_items)):
        found.half += [f"{subject} has no audit entry" for subject in wanted - set(entries)]
        found.half += [f"an audit entry of {subject}, which is not there" for subject in set(entries) - wanted]
        found.doubled += [f"{subject} has {number} audit entries" for subject, number in entries.items() if number > 1]


def _check_outbox(connection: Connection, found: Findings) -> None:
    """One result for each ECG that came by MLLP (all of the traffic is live and recent), none for others."""
    owed = set(connection.execute(select(analyses.c.id).where(analyses.c.door == "mllp")).scalars())
    queued = Counter(connection.execute(select(outbox.c.analysis_id)).scalars())
    found.half += [f"no result is queued for analysis {key}" for key in owed - set(queued)]
    found.half += [f"a result of analysis {key}, which is owed none" for key in set(queued) - owed]
    found.doubled += [f"analysis {key} has {number} results" for key, number in queued.items() if number > 1]
