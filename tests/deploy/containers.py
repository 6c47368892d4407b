"""Runs an image as a cluster would: by an OCI runtime (runc), with the image's own user, entry point and environment.

The root file system is read-only, there is no /tmp, no capability and no way to gain one; the volume is all that can be
written. The network is the machine's, so that tests reach the service on 127.0.0.1.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

from tests.deploy.images import call
from tests.e2e.balancer import pass_on

STOP_SECONDS = 40  # a drain takes 20 at most
NAMESPACES = ("pid", "mount", "ipc", "uts")
MOUNTS = (
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
    {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]},
)


@dataclass(frozen=True)
class Image:
    """An image whose files are mounted. root: where. config: its OCI configuration."""

    name: str
    root: Path
    config: Mapping[str, Any]

    @property
    def user(self) -> tuple[int, int]:
        """Numeric user and group, as Kubernetes asks for (`runAsNonRoot`)."""
        user, _, group = self.config["User"].partition(":")
        return int(user), int(group)

    @property
    def command(self) -> list[str]:
        """What runs when nothing else is said."""
        return [*(self.config.get("Entrypoint") or ()), *(self.config.get("Cmd") or ())]


@contextmanager
def mounted(name: str) -> Iterator[Image]:
    """The files and the configuration of a built image."""
    container = call("buildah", "from", name).strip()
    try:
        root = call("buildah", "mount", container).strip()
        found = json.loads(call("buildah", "inspect", "--type", "image", name))
        yield Image(name, Path(root), found["Docker"]["config"])
    finally:
        call("buildah", "rm", container)


@dataclass
class Container:
    """A running container. lines: what it has printed so far."""

    identity: str
    process: "subprocess.Popen[str]"
    log: Path
    lines: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The next line of its standard output. Raises AssertionError with its log when it ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.lines.append(line)
        return line

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command in it, as its user, as a health check is run."""
        return subprocess.run(
            ("runc", "exec", self.identity, *words), capture_output=True, text=True, timeout=120, check=False
        )

    def stop(self) -> int:
        """SIGTERM to its first process; gives the exit code."""
        call("runc", "kill", self.identity, "TERM")
        return self.process.wait(STOP_SECONDS)


def _specification(
    image: Image, words: Sequence[str], environment: Mapping[str, str], mounts: Mapping[str, Path]
) -> dict[str, Any]:
    user, group = image.user
    variables = {**dict(entry.split("=", 1) for entry in image.config["Env"]), **environment}
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": list(words),
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": image.config["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        },
        "root": {"path": str(image.root), "readonly": True},
        "mounts": [
            *MOUNTS,
            *(
                {"destination": at, "type": "bind", "source": str(source), "options": ["rbind", "rw"]}
                for at, source in mounts.items()
            ),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
    }


@contextmanager
def running(
    image: Image,
    folder: Path,
    words: Sequence[str] = (),
    **environment: str,
) -> Iterator[Container]:
    """Start the image; kill it at the end. words: other ones than its own entry point and command. folder: of its
    volume and its log."""
    data = folder / "volume"
    data.mkdir(exist_ok=True)
    os.chown(data, *image.user)
    identity = f"ecg-test-{uuid4().hex[:12]}"
    bundle = folder / identity
    bundle.mkdir()
    specification = _specification(image, words or image.command, environment, {image.config["WorkingDir"]: data})
    (bundle / "config.json").write_text(json.dumps(specification))
    log = folder / "container.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            ("runc", "run", "--bundle", str(bundle), identity), stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    try:
        yield Container(identity, process, log)
    finally:
        subprocess.run(("runc", "delete", "--force", identity), capture_output=True, check=False)
        process.wait(STOP_SECONDS)
        if process.stdout:
            process.stdout.close()


def ran(image: Image, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the image to its end. What it says on both streams is in `stdout`."""
    with running(image, folder, words, **environment) as container:
        assert container.process.stdout is not None
        said = container.process.stdout.read()
        code = container.process.wait(STOP_SECONDS)
    return subprocess.CompletedProcess(words, code, said + container.log.read_text(), "")


@contextmanager
def forwarded(socket_file: Path) -> Iterator[int]:
    """A TCP port of 127.0.0.1 for a server that listens on a Unix socket which the image's user may not enter."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = Thread(target=_accept, args=(listener, socket_file))
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(STOP_SECONDS)


def _accept(listener: socket.socket, socket_file: Path) -> None:
    conversations = []
    with suppress(OSError):  # it was closed
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(socket_file))
            conversations.append(Thread(target=pass_on, args=(client, server)))
            conversations[-1].start()
    for conversation in conversations:
        conversation.join(STOP_SECONDS)
