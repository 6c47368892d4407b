from audit.revisions import is_known, newest_revision
from audit.schema import REVISION


def test_the_schema_names_the_newest_migration() -> None:
    assert newest_revision() == REVISION


def test_a_revision_of_a_later_version_is_not_known() -> None:
    assert is_known(REVISION)
    assert not is_known("9999")
