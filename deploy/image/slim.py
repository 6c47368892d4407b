"""Cuts from the serving image what its dependencies bring and the service never loads. Runs while the image is built.

    slim.py SITE_PACKAGES

Each cut has its reason. One that finds nothing ends the build: the library has changed, and the list has to be looked
at again. `tests/deploy/test_image.py` sends ECGs through every door of the image that is left.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Cut:
    """Folders and files that match the pattern (a glob below site-packages), and why nothing misses them."""

    pattern: str
    reason: str


CUTS = (
    Cut("**/tests", "the libraries' own tests: pandas, scipy, numpy and others"),
    Cut("onnxruntime/capi/libonnxruntime.so.*", "the library for programs in C; Python's module holds the same code"),
    Cut("ecgdatakit/processing/nn/weights", "a denoising network for torch; files are only parsed here"),
    Cut("fhir/resources/STU3", "FHIR STU3; the service speaks R4 (R4B's classes)"),
)
# Whole distributions: the one that asks for them, and why it works without.
DISTRIBUTIONS = {
    "matplotlib": ("wfdb", "wfdb imports it inside its plot functions only; reports are drawn by reportlab"),
    "contourpy": ("matplotlib", "for matplotlib alone"),
    "cycler": ("matplotlib", "for matplotlib alone"),
    "fonttools": ("matplotlib", "for matplotlib alone"),
    "kiwisolver": ("matplotlib", "for matplotlib alone"),
    "pyparsing": ("matplotlib", "for matplotlib alone"),
}


def main(site_packages: str) -> None:
    """Cut, and print what was gained."""
    root = Path(site_packages)
    installed = {_canonical(found.name): found for found in distributions(path=[site_packages])}
    for name, (wanted_by, reason) in DISTRIBUTIONS.items():
        _only_for(name, wanted_by, installed)
        _tell(_remove(root, _files(root, installed[name])), name, reason)
    for cut in CUTS:
        _tell(_remove(root, sorted(root.glob(cut.pattern))), cut.pattern, cut.reason)


def _only_for(name: str, wanted_by: str, installed: dict[str, Distribution]) -> None:
    """Ends the build when somebody else has begun to need it."""
    if name not in installed:
        sys.exit(f"slim.py: {name} is not installed; take it off the list")
    for other, found in installed.items():
        needs = {
            _canonical(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in found.requires or () if "extra ==" not in line
        }
        if name in needs and other not in {wanted_by, *DISTRIBUTIONS}:
            sys.exit(f"slim.py: {other} needs {name}; look whether it can still be cut")


def _files(root: Path, found: Distribution) -> list[Path]:
    """The top folders and files of a distribution, its metadata among them, and its commands."""
    own = {root / file.parts[0] if file.parts[0] != ".." else root / file for file in found.files or ()}
    return sorted(path for path in own if path.name != "__pycache__")


def _remove(root: Path, paths: list[Path]) -> int:
    size = sum(file.lstat().st_size for path in paths for file in _below(path))
    if not size:
        sys.exit("slim.py: a cut finds nothing; look whether the library has changed")
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # a folder above it may have gone first
    return size


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    elif path.exists():
        yield path


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tell(size: int, what: str, reason: str) -> None:
    sys.stdout.write(f"{size / MEGABYTE:6.1f} MB  {what}: {reason}\n")


if __name__ == "__main__":
    main(sys.argv[1])
