from datetime import UTC, datetime

import pytest

from audit.packed import Plain
from audit.records import Document
from interop.fhir.exchange import is_unchanged, version_headers

DOCUMENT = Document(
    type="Device",
    id="1",
    version=3,
    body=Plain(b"{}"),
    last_updated=datetime(2026, 3, 2, 9, 30, 0, 999_999, tzinfo=UTC),
)


def test_a_version_is_named_by_a_weak_tag_and_a_date_in_gmt() -> None:
    assert version_headers(DOCUMENT) == {"ETag": 'W/"3"', "Last-Modified": "Mon, 02 Mar 2026 09:30:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "unchanged"),
    [
        ({}, False),
        ({"if-none-match": 'W/"3"'}, True),
        ({"if-none-match": '"3"'}, True),
        ({"if-none-match": 'W/"1", W/"3"'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": 'W/"33"'}, False),
        ({"if-modified-since": "Mon, 02 Mar 2026 09:30:00 GMT"}, True),
        ({"if-modified-since": "Mon, 02 Mar 2026 09:29:59 GMT"}, False),
        ({"if-modified-since": "yesterday"}, False),
        ({"if-none-match": 'W/"1"', "if-modified-since": "Mon, 02 Mar 2026 09:30:00 GMT"}, False),
    ],
)
def test_the_tag_decides_and_the_date_only_where_there_is_no_tag(headers: dict[str, str], unchanged: bool) -> None:
    assert is_unchanged(DOCUMENT, headers) is unchanged
