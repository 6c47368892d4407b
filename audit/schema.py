"""The tables.

One schema for SQLite and PostgreSQL. What must happen only once is a unique constraint, never a look before the write:
a received item (door, sender, control_id, content), a document version, a business identifier, a chained audit entry.
Absent senders and code systems are stored as '', because NULL is unequal to itself in a unique constraint; an absent
control_id is stored as NULL for just that reason.
Large columns stand last: SQLite reads a row from its start.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import LargeBinary as Bytes

from audit.columns import AcknowledgementLetter, Compressed, Key, Payload, RowId, UtcDateTime
from audit.records import ProcessingState

# The newest migration; together they make just these tables.
REVISION = "0009"
# Programs made for this schema, or for one between it and the newest, can work on the newest: nothing that they read or
# write was taken away or given another meaning, nothing that they do not know is required. A migration that breaks that
# raises it to its own.
WORKS_WITH = "0009"

WIDE = "wide = 1"
UNRESOLVED = "resolved_at IS NULL"
OPEN = f"processing = '{ProcessingState.RECEIVED}'"

metadata = MetaData(
    # Every constraint has a name that a migration can rely on, on both databases.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("door", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("control_id", Text),
    Column("content_sha256", Text, nullable=False),
    Column("patient_key", Text),
    Column("media_type", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("processing", Text, nullable=False),
    Column("acknowledgement", AcknowledgementLetter, nullable=False),
    Column("analysis_id", Text),
    Column("error", Text),
    Column("answer", Compressed),
    Column("content", Compressed, nullable=False),
    UniqueConstraint("door", "sender", "control_id", "content_sha256"),
    # The few that wait for their analysis.
    Index("ix_inbox_received", "id", sqlite_where=text(OPEN), postgresql_where=text(OPEN)),
)

documents = Table(
    "documents",
    metadata,
    Column("type", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("last_updated", UtcDateTime, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("silent", Boolean, nullable=False),
    Column("content", Bytes, nullable=False),  # a frame of `audit.packed`
    Index("ix_documents_type_last_updated_id", "type", "last_updated", "id"),
)

document_index = Table(
    "document_index",
    metadata,
    Column("type", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("value", Key, primary_key=True),
    Column("system", Key, primary_key=True),
    # Two ways in: what a document has, and which documents have something, in the order in which they are listed.
    Index("ix_document_index_type_name_value_id", "type", "name", "value", "id"),
    # The primary key is the table; a second copy of the row would only cost writes.
    sqlite_with_rowid=False,
)

document_ranges = Table(
    "document_ranges",
    metadata,
    Column("type", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("low", Float, primary_key=True),
    Column("high", Float, primary_key=True),
    Column("code", Key, primary_key=True),
    Column("system", Key, primary_key=True),
    Column("wide", Integer, nullable=False),
    Index("ix_document_ranges_type_name_low_id", "type", "name", "low", "id"),
    # Where most begin tells where they end; these few are looked for by their ends.
    Index(
        "ix_document_ranges_wide", "type", "name", "high", "id", sqlite_where=text(WIDE), postgresql_where=text(WIDE)
    ),
    sqlite_with_rowid=False,
)

# Of which definitions the rows of the two tables above were made; one row. complete_at: what other versions of the
# program have written since then has rows of their making.
search_index = Table(
    "search_index",
    metadata,
    Column("definitions", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("complete_at", UtcDateTime, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("digest", Text, nullable=False),
    sqlite_with_rowid=False,
)

analyses = Table(
    "analyses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("inbox_id", RowId, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("door", Text, nullable=False),
    Column("sender", Text),
    Column("analyzed_at", UtcDateTime, nullable=False, index=True),
    Column("recorded_at", UtcDateTime),
    Column("age", Float),
    Column("sex", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("interpretable", Boolean, nullable=False),
    Column("mode", Text, nullable=False),
    Column("model_name", Text),
    Column("model_version", Text),
    Column("probabilities", JSON(none_as_null=True)),
    Column("detail", Compressed, nullable=False),
    Column("features", Bytes),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("state", Text, nullable=False),
    Column("destination", Text),
    Column("patient_key", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("control_id", Text, nullable=False, unique=True),
    Column("analysis_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("error", Text),
    Column("content", Compressed, nullable=False),
    Index("ix_outbox_state_destination_patient_key_id", "state", "destination", "patient_key", "id"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("chain_id", Text, primary_key=True),
    Column("seq", RowId, primary_key=True, autoincrement=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("subject", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("payload_sha256", Text, nullable=False),
    # NULL after retention; the chain hashes payload_sha256 only.
    Column("payload", Payload),
    Index("ix_audit_entries_recorded_at", "recorded_at"),
    Index("ix_audit_entries_subject", "subject"),
)

overreads = Table(
    "overreads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("report_id", Text, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("practitioner", Text, nullable=False),
    Column("status_before", Text, nullable=False),
    Column("status_after", Text, nullable=False),
    Column("agreed", Boolean),
    Column("findings", JSON(none_as_null=True)),
    Column("detail", Compressed, nullable=False),
)

# What a model in shadow mode said of an analysis; nobody was told.
shadow_results = Table(
    "shadow_results",
    metadata,
    Column("analysis_id", Text, ForeignKey("analyses.id"), primary_key=True),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_sha256", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("decided", JSON(none_as_null=True), nullable=False),
    Column("probabilities", JSON(none_as_null=True), nullable=False),
)

# What clinicians were shown by CDS Hooks, and what they did about it.
cards = Table(
    "cards",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("service", Text, nullable=False),
    Column("user_key", Key, nullable=False),
    Column("analysis_id", Text, nullable=False),
    Column("indicator", Text, nullable=False),
    Index("ix_cards_user_key_analysis_id", "user_key", "analysis_id"),
)

# Each finding of a card, with the newest decision on it.
card_findings = Table(
    "card_findings",
    metadata,
    Column("card_id", Text, ForeignKey("cards.id"), primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("urgency", Text, nullable=False),
    Column("suggestion_ids", JSON(none_as_null=True), nullable=False),
    Column("outcome", Text),
    Column("decided_at", UtcDateTime),
    Column("reason", Text),
    sqlite_with_rowid=False,
)

# Every feedback as it came; clients send one again, and change their minds.
card_feedback = Table(
    "card_feedback",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("card_id", Text, ForeignKey("cards.id"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("outcome_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("detail", Compressed, nullable=False),
    UniqueConstraint("card_id", "outcome", "outcome_at"),
)

# What monitoring has found, the newest page of each kind included.
monitoring_reports = Table(
    "monitoring_reports",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("computed_at", UtcDateTime, nullable=False),
    Column("window_begin", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("flag", Boolean, nullable=False),
    Column("content", Compressed, nullable=False),
    Column("page", Compressed),
    Index("ix_monitoring_reports_kind_id", "kind", "id"),
)

# What somebody has to look at; of one key only one is open.
alerts = Table(
    "alerts",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Index("ix_alerts_open", "key", unique=True, sqlite_where=text(UNRESOLVED), postgresql_where=text(UNRESOLVED)),
)

# Each notice of an alert to each channel, until it is sent.
alert_notices = Table(
    "alert_notices",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("alert_id", RowId, ForeignKey("alerts.id"), nullable=False, index=True),
    Column("event", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("error", Text),
    Index("ix_alert_notices_state", "state", "id"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("chain_id", Text, primary_key=True),
    Column("seq", RowId, nullable=False),
    Column("hash", Text, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    # Of the search definitions by which this process stores documents, NULL for one that stores none.
    Column("index_revision", Integer),
)

# The oldest schema whose programs may work on this database beside the one that has migrated it; one row.
compatibility = Table("compatibility", metadata, Column("oldest_schema", Text, primary_key=True))

feature_cache = Table(
    "feature_cache",
    metadata,
    # In order of age: the smallest are deleted first.
    Column("id", RowId, primary_key=True),
    Column("key", Bytes, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("measurements", Bytes, nullable=False),
    Column("probabilities", Bytes, nullable=False),
    Column("features", Bytes, nullable=False),
)
