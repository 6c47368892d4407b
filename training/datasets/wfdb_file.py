"""A WFDB record as the source of an entry."""

from dataclasses import dataclass
from pathlib import Path

from inference.formats import wfdb
from inference.recording import Recording


@dataclass(frozen=True, slots=True)
class WfdbFile:
    """header: path of the `.hea` file. size, modified: bytes and ns, so that a file that is replaced is noticed."""

    header: Path
    size: int
    modified: int

    @property
    def key(self) -> str:
        """Path, size and time of the header."""
        return f"{self.header}:{self.size}:{self.modified}"

    def read(self) -> Recording:
        """The record. Raises what `inference.formats.wfdb.read` raises."""
        return wfdb.read(self.header)


def wfdb_file(header: Path) -> WfdbFile:
    """The record of a header. Raises FileNotFoundError when it is not there."""
    stat = header.stat()
    return WfdbFile(header, stat.st_size, stat.st_mtime_ns)
