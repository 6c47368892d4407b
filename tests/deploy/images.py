"""Builds the real deploy/Dockerfile with buildah, on a Debian made by debootstrap: no Docker engine, no registry.

Buildah's chroot isolation needs root and nothing else. What the machine's pip is told (an index, a certificate) goes
into the build as the two secrets that the Dockerfile takes, so nothing of it is in the image.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.npm import unavailable

TOOLS = ("buildah", "debootstrap", "runc")
BASE = "localhost/ecg-test-base:bookworm-slim"
# As in Debian's own slim image: nothing for people to read but licences.
DOCUMENTATION = ("usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/groff")
CACHES = ("var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf")
# As in Debian's own image, which takes fixes of holes, too. debootstrap knows the mirror.
SOURCES = """Types: deb
URIs: {mirror}
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {mirror}-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
DPKG = "".join(f"path-exclude /{folder}/*\n" for folder in (*DOCUMENTATION, "usr/share/doc")) + (
    "path-include /usr/share/doc/*/copyright\n"
)
INDEX = ("index-url", "extra-index-url", "find-links", "trusted-host")


def call(*words: str, seconds: float = 600, **environment: str) -> str:
    """Run a command and give what it printed. Raises AssertionError with the end of its errors."""
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def needed() -> None:
    """Skip where images cannot be built. Under CI a missing tool is a failure; a user who is not root is none, as on
    GitHub, where .github/workflows/image.yml builds the images with Docker."""
    if os.geteuid() != 0:
        pytest.skip("building an image without a Docker engine needs root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        unavailable(f"building an image needs {', '.join(missing)}")
    container = subprocess.run(("buildah", "from", "scratch"), capture_output=True, text=True, check=False)
    mounted = subprocess.run(
        ("buildah", "mount", container.stdout.strip()), capture_output=True, text=True, check=False
    )
    subprocess.run(("buildah", "rm", container.stdout.strip()), capture_output=True, check=False)
    if mounted.returncode:  # a container itself, without the right to mount
        pytest.skip(f"no image can be mounted on this machine: {mounted.stderr.strip().splitlines()[-1:]}")


def base() -> str:
    """The base image, made once a month so that the tests see Debian's fixes."""
    name = f"{BASE}-{time.strftime('%Y%m')}"
    if subprocess.run(("buildah", "inspect", "--type", "image", name), capture_output=True, check=False).returncode:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "root"
            call("debootstrap", "--variant=minbase", "bookworm", str(root))
            _slim(root)
            container = call("buildah", "from", "scratch").strip()
            call("buildah", "add", "--quiet", container, str(root), "/")
            call("buildah", "config", "--cmd", "bash", container)
            call("buildah", "commit", "--quiet", "--rm", container, name)
    return name


def _slim(root: Path) -> None:
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(DPKG)
    sources = root / "etc/apt/sources.list"
    mirror = sources.read_text().split()[1]
    (root / "etc/apt/sources.list.d/debian.sources").write_text(SOURCES.format(mirror=mirror))
    sources.unlink()
    for folder in (*DOCUMENTATION, *CACHES):
        for path in (root / folder).glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in (root / "usr/share/doc").rglob("*"):
        if path.is_file() and path.name != "copyright":
            path.unlink()


def build(image: str, target: str, base_image: str, *, mounted: Sequence[str] = (), cached: bool = True) -> float:
    """Build a target of the Dockerfile under this name. Gives seconds. mounted: folders of packages for pip."""
    with tempfile.TemporaryDirectory() as folder:
        secrets = _pip_secrets(Path(folder), with_folders=bool(mounted))
        started = time.monotonic()
        call(
            "buildah", "bud", "--isolation", "chroot", "--format", "docker", "--file", "deploy/Dockerfile",
            "--target", target, "--tag", image, "--build-arg", f"BASE={base_image}", "--build-arg", "REVISION=test",
            *("--layers" if cached else "--no-cache",), *secrets,
            *(word for path in mounted for word in ("--volume", f"{path}:{path}:ro")), ".",
            seconds=1800,
        )  # fmt: skip
        return time.monotonic() - started


def _pip_secrets(folder: Path, *, with_folders: bool) -> list[str]:
    """The machine's pip configuration as arguments of a build; folders of packages only where they are mounted."""
    listed = call(sys.executable, "-m", "pip", "config", "list")
    found = {
        key.split(".")[-1]: value.strip("'\"")
        for key, _, value in (line.partition("=") for line in listed.splitlines())
    }
    wanted = {name: found[name] for name in INDEX if name in found and (with_folders or "://" in found[name])}
    if not with_folders:
        wanted = {name: value for name, value in wanted.items() if "file://" not in value}
    words = []
    if certificate := found.get("cert"):
        wanted["cert"] = "/run/secrets/ca"
        words += ["--secret", f"id=ca,src={certificate}"]
    (folder / "pip.conf").write_text(
        "\n".join(["[global]", *(f"{name} = {value}" for name, value in wanted.items()), ""])
    )
    return [*words, "--secret", f"id=pip-conf,src={folder / 'pip.conf'}"]


def compressed_sizes(image: str, folder: Path) -> list[int]:
    """Bytes of each layer as a registry holds it, gzipped."""
    call("buildah", "push", "--quiet", image, f"oci:{folder}/oci:image")
    index = json.loads((folder / "oci/index.json").read_text())
    manifest = json.loads(_blob(folder / "oci", index["manifests"][0]["digest"]).read_text())
    return [layer["size"] for layer in manifest["layers"]]


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / Path(*digest.split(":"))
