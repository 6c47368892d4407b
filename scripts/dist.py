"""Everything that a release consists of, in one folder: `make dist`.

Wheel and sdist by `build`, the champion model as an archive of its own, and SHA256SUMS. Whoever builds the same commit
with the packages of constraints.txt gets the same bytes: what is packed comes out of git, and all times in the archives
are SOURCE_DATE_EPOCH, by default the time of the commit.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"
# Weights and archives are as good as random: gzip's best takes four times as long and saves nothing.
COMPRESSION = 6


def exported(commit: str, folder: Path) -> Path:
    """The files of a commit, and nothing that merely lies in the checkout."""
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=archive, check=True)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            files.extractall(folder, filter="data")
    return folder


def build(tree: Path, out: Path, epoch: int) -> list[Path]:
    """Make wheel, sdist, model and checksums of a source tree. The tree is written into: give it a copy."""
    out.mkdir(parents=True, exist_ok=True)
    _same_rights(tree)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    os.umask(0o022)
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, stdout=sys.stderr, check=True)
    (sdist,) = out.glob("*.tar.gz")
    _repack(sdist, epoch)
    _pack_model(tree / "models", out, epoch)
    made = sorted(path for path in out.iterdir() if path.name != SUMS)
    (out / SUMS).write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in made))
    return [*made, out / SUMS]


def _same_rights(tree: Path) -> None:
    """Modes are part of the bytes of a wheel, and depend on the umask of whoever checked out."""
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _repack(sdist: Path, epoch: int) -> None:
    """setuptools packs an sdist with the times, owners and order that it finds."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as files:
            files.extractall(folder, filter="data")
        _pack(sdist, Path(folder), (path for path in Path(folder).rglob("*") if path.is_file()), epoch)


def _pack_model(models: Path, out: Path, epoch: int) -> None:
    """The champion as `model-<name>-<version>.tar.gz`, with its card and documents, for an existing installation."""
    folder = models / json.loads((models / "champion.json").read_text())["path"]
    name = f"model-{folder.parent.name}-{folder.name}.tar.gz"
    _pack(out / name, models, (path for path in folder.rglob("*") if path.is_file()), epoch)


def _pack(archive: Path, base: Path, files: Iterable[Path], epoch: int) -> None:
    """A tar.gz whose bytes depend on names, contents and `epoch` only."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=COMPRESSION, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(files):
            member = tarfile.TarInfo(path.relative_to(base).as_posix())
            member.size = path.stat().st_size
            member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            member.mtime = epoch
            with path.open("rb") as content:
                tar.addfile(member, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _epoch(commit: str) -> int:
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    shown = subprocess.run(
        ["git", "show", "--no-patch", "--format=%ct", commit], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(shown.stdout)


def main(arguments: Sequence[str]) -> int:
    """Build a commit, or a folder as it is."""
    parser = argparse.ArgumentParser(description="Build what a release consists of.")
    parser.add_argument("--commit", default="HEAD", help="what to build")
    parser.add_argument("--tree", type=Path, help="build this folder instead, uncommitted changes and all")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="an empty or new folder for the result")
    options = parser.parse_args(arguments)
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "source"
        if options.tree:
            shutil.copytree(options.tree, tree)
        else:
            exported(options.commit, tree)
        for path in build(tree, options.out, _epoch(options.commit)):
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
