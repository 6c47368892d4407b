"""The ZIP archives that CODE-15% is given out in: one HDF5 part each, taken out once and then removed."""

import shutil
from pathlib import Path
from zipfile import BadZipFile, ZipFile

MARKER = ".unpacked"  # takes the archive's place: its digest, and the files that came out of it


def is_unpacked(archive: Path, digest: str) -> bool:
    """Whether this archive was taken out before, so that it need not be there."""
    marker = _marker(archive)
    if not marker.is_file():
        return False
    unpacked, *names = marker.read_text().splitlines()
    return unpacked == digest and all(archive.with_name(name).is_file() for name in names)


def unpack(archive: Path, digest: str) -> None:
    """Take the HDF5 files out of a ZIP archive, into its folder, and remove it. Does nothing for another file.

    Raises OSError when the archive is damaged.
    """
    if archive.suffix != ".zip" or is_unpacked(archive, digest):
        return
    names = []
    try:
        with ZipFile(archive) as content:
            for member in content.infolist():
                # Its last part only: where the file goes is not for the archive to say.
                target = archive.with_name(Path(member.filename).name)
                if target.suffix != ".hdf5":
                    continue
                part = target.with_name(f"{target.name}.part")
                with content.open(member) as source, part.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                part.replace(target)
                names.append(target.name)
    except BadZipFile as error:
        raise OSError(f"{archive}: {error}") from error
    _marker(archive).write_text("\n".join([digest, *names]))
    archive.unlink()


def _marker(archive: Path) -> Path:
    return archive.with_name(archive.name + MARKER)
