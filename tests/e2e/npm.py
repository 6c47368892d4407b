"""npm packages that tests need, installed once for each content of their package.json into pytest's cache."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

TOOLS = ("node", "npm")
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
INSTALL_SECONDS = 100


def installed(config: pytest.Config, name: str, package: Path) -> Path:
    """The folder `name` in pytest's cache, with the packages that a package.json asks for.

    Skips the test where they cannot be installed; under CI that is a failure.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        unavailable(f"{name} needs {' and '.join(missing)}")
    assert config.cache is not None
    folder = config.cache.mkdir(name)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of other processes may need the same packages at the same time
        _install(folder, name, package.read_bytes())
    return folder


def _install(folder: Path, name: str, wanted: bytes) -> None:
    done = folder / ".installed"
    if done.exists() and done.read_bytes() == wanted:
        return
    (folder / "package.json").write_bytes(wanted)
    npm = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if npm.returncode:
        unavailable(f"npm could not install {name}: {npm.stderr.strip()[:400]}")
    done.write_bytes(wanted)


def unavailable(reason: str) -> NoReturn:
    """Skip, or fail where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
