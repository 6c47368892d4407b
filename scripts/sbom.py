"""Writes what is in an image as CycloneDX: every Debian package and every Python package, with versions and licences.

    python scripts/sbom.py ROOT OUTPUT [--name ecg-interop] [--timestamp 2026-01-01T00:00:00Z]

ROOT is the image's root file system as a folder (`make sbom` unpacks it). Debian's part is made by debsbom from dpkg's
own status, Python's by cyclonedx-py from the metadata in /opt/ecg; debsbom puts the two together. Version 1.6 of the
format, because scanners do not read newer ones at once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
SITE_PACKAGES = Path("opt/ecg/lib/python3.11/site-packages")
SUPPLIER = "ECG Clinical Action Recommender"


def main() -> None:
    """Make both parts and merge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--name", default="ecg-interop")
    parser.add_argument("--timestamp", help="ISO 8601; default: now")
    given = parser.parse_args()
    version = tomllib.loads(PROJECT.read_text())["project"]["version"]
    when = ["--timestamp", given.timestamp] if given.timestamp else []
    with tempfile.TemporaryDirectory() as folder:
        debian, python, merged = (Path(folder) / f"{part}.cdx.json" for part in ("debian", "python", "merged"))
        of_debian = ("--sbom-type", "cdx", "--with-licenses", "--root", str(given.root), "--out", str(debian))
        _beside("debsbom", "generate", *of_debian, *when)
        interpreter = _interpreter(given.root / SITE_PACKAGES, Path(folder))
        of_python = ("--pyproject", str(PROJECT), "--output-file", str(python), str(interpreter))
        _beside("cyclonedx-py", "environment", *of_python)
        named = ("--distro-name", given.name, "--distro-version", version, "--distro-supplier", SUPPLIER)
        _beside("debsbom", "merge", "--sbom-type", "cdx", "--out", str(merged), *named, *when, str(debian), str(python))
        bom = Bom.from_json(json.loads(merged.read_text()))  # type: ignore[attr-defined]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")


def _interpreter(site_packages: Path, folder: Path) -> Path:
    """cyclonedx-py asks an interpreter for its path. The image's cannot run here, so this answers in its place."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{json.dumps([str(site_packages.resolve(strict=True))])}'\n")
    program.chmod(0o755)
    return program


def _beside(name: str, *arguments: str) -> None:
    subprocess.run((Path(sys.executable).with_name(name), *arguments), check=True)


if __name__ == "__main__":
    main()
