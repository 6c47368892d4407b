"""Files -> Recording, one module a format, chosen by suffix."""

from collections.abc import Callable
from pathlib import Path

from inference.errors import InvalidContent, UnsupportedMediaType
from inference.formats import csv, wfdb
from inference.recording import Recording

# Which options a format's reader takes; the others state unit and rate themselves.
_READERS: dict[str, tuple[Callable[..., Recording], frozenset[str]]] = {
    ".hea": (wfdb.read, frozenset({"zone"})),
    ".dat": (wfdb.read, frozenset({"zone"})),
    ".mat": (wfdb.read, frozenset({"zone"})),
    ".csv": (csv.read, frozenset({"unit", "sampling_rate"})),
}

SUFFIXES = tuple(_READERS)


def read(path: Path, **options: object) -> Recording:
    """The recording in a file; which reader is decided by the suffix alone.

    options: `unit` and `sampling_rate` for formats that may lack them, `zone` for those whose times have none. One
    that is None counts as not given.

    Raises UnsupportedMediaType for an unknown suffix, InvalidContent for an option that the format does not take, and
    what the format's own `read` raises.
    """
    if path.suffix.lower() not in _READERS:
        raise UnsupportedMediaType(f"{path.name}: no reader for this suffix; known are {', '.join(SUFFIXES)}")
    reader, accepted = _READERS[path.suffix.lower()]
    given = {name: value for name, value in options.items() if value is not None}
    if refused := sorted(given.keys() - accepted):
        raise InvalidContent(f"{path.suffix} files state this themselves or have no use for it: {', '.join(refused)}")
    return reader(path, **given)
