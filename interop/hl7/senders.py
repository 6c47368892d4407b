"""What is peculiar to each sender: `ECG_SENDERS`, a JSON file read once at start.

    {"MUSE|GENERAL": {"time_zone": "Europe/Berlin", "processing_ids": ["P", "T"],
                      "identifier_systems": {"GENERAL": "https://hospital.example/mrn"}}}

The key is `MSH-3|MSH-4` by their first components; `*` is for everyone who is not named. identifier_systems: what
stands in PID-3.4 (or OBR-2, OBR-3) as assigning authority -> the FHIR Identifier.system of the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inference.errors import ConfigurationError

ANYONE = "*"
PRODUCTION = ("P",)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no IANA time zone") from error
    return name


class SenderEntry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    processing_ids: tuple[Annotated[str, Field(pattern="^[A-Z]$")], ...] = PRODUCTION
    identifier_systems: Mapping[str, Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")]] = {}


_FILE: TypeAdapter[dict[str, SenderEntry]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=r"^(\*|.*\|.*)$")], SenderEntry]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One sender's rules. processing_ids: the values of MSH-11 that are taken."""

    time_zone: ZoneInfo
    processing_ids: frozenset[str]
    identifier_systems: Mapping[str, str]


class Senders:
    """All senders."""

    def __init__(self, entries: Mapping[str, SenderEntry], default_zone: str) -> None:
        self._anyone = _sender(entries.get(ANYONE, SenderEntry()), default_zone)
        self._named = {key: _sender(entry, default_zone) for key, entry in entries.items() if key != ANYONE}

    def of(self, key: str) -> Sender:
        """The rules for a sender, `MSH-3|MSH-4`."""
        return self._named.get(key, self._anyone)


def load_senders(path: Path | None, default_zone: str) -> Senders:
    """Read the file; without one everybody is an ordinary sender. default_zone: `ECG_TIME_ZONE`.

    Raises ConfigurationError naming the file, the sender and what is wrong.
    """
    if path is None:
        return Senders({}, default_zone)
    try:
        return Senders(_FILE.validate_json(path.read_bytes()), default_zone)
    except OSError as error:
        raise ConfigurationError(f"ECG_SENDERS={path}: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{' / '.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(f"ECG_SENDERS={path}: {problems}") from error


def _sender(entry: SenderEntry, default_zone: str) -> Sender:
    return Sender(
        time_zone=ZoneInfo(entry.time_zone or default_zone),
        processing_ids=frozenset(entry.processing_ids),
        identifier_systems=dict(entry.identifier_systems),
    )
