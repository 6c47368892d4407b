import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from inference.errors import ConfigurationError
from interop.hl7.senders import load_senders


def written(folder: Path, content: object) -> Path:
    file = folder / "senders.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_without_a_file_everybody_is_an_ordinary_sender() -> None:
    sender = load_senders(None, "Europe/Paris").of("ANY|ONE")
    assert sender.time_zone == ZoneInfo("Europe/Paris")
    assert sender.processing_ids == {"P"}
    assert sender.identifier_systems == {}


def test_a_named_sender_has_its_own_rules_and_others_have_those_of_everybody(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {
            "MUSE|GENERAL": {"time_zone": "Asia/Tokyo", "identifier_systems": {"GENERAL": "urn:oid:1.2"}},
            "*": {"processing_ids": ["P", "T"]},
        },
    )
    senders = load_senders(file, "UTC")
    assert senders.of("MUSE|GENERAL").time_zone == ZoneInfo("Asia/Tokyo")
    assert senders.of("MUSE|GENERAL").identifier_systems == {"GENERAL": "urn:oid:1.2"}
    assert senders.of("MUSE|GENERAL").processing_ids == {"P"}
    assert senders.of("OTHER|").processing_ids == {"P", "T"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "file"),
        ("[]", "file"),
        ({"MUSE": {}}, "MUSE"),
        ({"MUSE|G": {"time_zone": "Mars/Olympus"}}, "time_zone"),
        ({"MUSE|G": {"timezone": "UTC"}}, "timezone"),
        ({"MUSE|G": {"processing_ids": ["production"]}}, "processing_ids"),
        ({"MUSE|G": {"identifier_systems": {"G": "no uri"}}}, "identifier_systems"),
    ],
)
def test_a_wrong_file_is_refused_by_naming_what_is_wrong(tmp_path: Path, content: object, named: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        load_senders(file, "UTC")
    assert str(file) in caught.value.message
    assert named in caught.value.message


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_senders(tmp_path / "absent.json", "UTC")
