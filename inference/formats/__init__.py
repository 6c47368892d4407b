"""Files -> Recording, one module a format or a family of them, chosen by suffix."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from inference.errors import InvalidContent, UnsupportedMediaType
from inference.formats import csv, exchange, wfdb
from inference.recording import Recording


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of file is read. options: the keyword arguments that a caller may give, because the format may lack
    what they say. zoned: it takes `zone`, for times that state none."""

    read: Callable[..., Recording]
    options: frozenset[str] = frozenset()
    zoned: bool = True


READERS: Mapping[str, Reader] = {
    **dict.fromkeys((".hea", ".dat", ".mat"), Reader(wfdb.read)),
    ".csv": Reader(csv.read, frozenset({"unit", "sampling_rate"}), zoned=False),
    **dict.fromkeys((".dcm", ".dicom", ".scp", ".xml"), Reader(exchange.read)),
}

SUFFIXES = tuple(READERS)


def read(path: Path, *, zone: tzinfo = UTC, readers: Mapping[str, Reader] = READERS, **options: object) -> Recording:
    """The recording in a file; which reader is decided by the suffix alone.

    zone: for formats whose times have none. options: `unit` and `sampling_rate` for formats that may lack them; one
    that is None counts as not given.

    Raises UnsupportedMediaType for an unknown suffix, InvalidContent for an option that the format does not take, and
    what the format's own `read` raises.
    """
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnsupportedMediaType(f"{path.name}: no reader for this suffix; known are {', '.join(readers)}")
    given = {name: value for name, value in options.items() if value is not None}
    if refused := sorted(given.keys() - reader.options):
        raise InvalidContent(f"{path.suffix} files state this themselves or have no use for it: {', '.join(refused)}")
    return reader.read(path, **given, **({"zone": zone} if reader.zoned else {}))
