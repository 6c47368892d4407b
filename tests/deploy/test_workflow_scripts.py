"""Scripts inside the workflows, run by bash as a runner runs them. kubectl, cosign, docker and gh are scripted: no
cluster, registry or GitHub is at hand."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.workflows import run, step

SMOKE = ROOT / "deploy/k8s/smoke.sh"
VERSION = step("deploy.yml", "Is it a version?").run
BACK = step("deploy.yml", "Back to the revision before").run
SIGNATURES = step("deploy.yml", "Check the signatures, and name the images by their digests").run
TOGETHER = step("release.yml", "Put together and sign").run
COMPARE = step("ci.yml", "Compare with the last three runs of main").run
NAMES = step("image.yml", "Names and times").run


@pytest.mark.parametrize("version", ["0.1.0", "12.0.34"])
def test_a_version_is_one(version: str, tmp_path: Path) -> None:
    assert run(VERSION, tmp_path, {}, VERSION=version).code == 0


@pytest.mark.parametrize("version", ["", "v0.1.0", "latest", "0.1", "0.1.0; reboot", "0.1.0\nx", "$(reboot)"])
def test_anything_else_is_none(version: str, tmp_path: Path) -> None:
    assert run(VERSION, tmp_path, {}, VERSION=version).code != 0


def _kubectl(revision: int) -> dict[str, str]:
    return {"kubectl": f'case "$*" in *"get deployment"*) echo -n {revision};; esac'}


def test_a_failed_deployment_goes_back_to_the_revision_before_and_is_asked_again(tmp_path: Path) -> None:
    smoke = tmp_path / "deploy/k8s/smoke.sh"
    smoke.parent.mkdir(parents=True)
    smoke.write_text("#!/bin/sh\necho asked\n")
    smoke.chmod(0o755)
    ran = run(BACK, tmp_path, _kubectl(8), NAMESPACE="ecg", REVISION="7")
    assert ran.code == 0, ran.output
    assert ran.calls[1:] == [
        "kubectl -n ecg rollout undo deployment/ecg-interop --to-revision=7",
        "kubectl -n ecg rollout status deployment/ecg-interop --timeout=15m",
    ]
    assert "asked" in ran.output
    assert "revision 7" in ran.summary


def test_what_never_came_to_pods_is_not_taken_back(tmp_path: Path) -> None:
    """`rollout undo` would otherwise bring back the version before the one that runs well."""
    ran = run(BACK, tmp_path, _kubectl(7), NAMESPACE="ecg", REVISION="7")
    assert ran.code == 0, ran.output
    assert len(ran.calls) == 1
    assert "never left" in ran.summary


REGISTRY = {
    "docker": "echo sha256:$(printf '%s' \"$4\" | sha256sum | cut -d' ' -f1)",
    "kustomize": 'echo "$@" >> edited',
}


def _signatures(folder: Path, cosign: str) -> tuple[int, list[str], str]:
    overlay = folder / "deploy/k8s/overlays/production"
    overlay.mkdir(parents=True)
    ran = run(
        SIGNATURES,
        folder,
        {**REGISTRY, "cosign": cosign},
        OWNER="Some-Hospital",
        VERSION="0.2.0",
        GITHUB_SERVER_URL="https://github.example",
        GITHUB_REPOSITORY="Some-Hospital/ecg",
    )
    edited = overlay / "edited"
    return ran.code, ran.calls, edited.read_text() if edited.exists() else ""


def test_what_is_deployed_is_named_by_the_digest_whose_signature_was_checked(tmp_path: Path) -> None:
    code, calls, edited = _signatures(tmp_path, "true")
    digest = hashlib.sha256(b"ghcr.io/some-hospital/ecg-interop:0.2.0").hexdigest()
    assert code == 0
    signer = "https://github.example/Some-Hospital/ecg/.github/workflows/image.yml@refs/tags/v0.2.0"
    assert calls[1] == (
        f"cosign verify --certificate-identity {signer} --certificate-oidc-issuer"
        f" https://token.actions.githubusercontent.com ghcr.io/some-hospital/ecg-interop@sha256:{digest}"
    )
    lines = edited.splitlines()
    assert lines[0] == f"edit set image ecg-interop=ghcr.io/some-hospital/ecg-interop@sha256:{digest}"
    assert lines[1].startswith("edit set image ecg-ops=ghcr.io/some-hospital/ecg-ops@sha256:")


def test_nothing_is_deployed_whose_signature_is_wrong(tmp_path: Path) -> None:
    code, _, edited = _signatures(tmp_path, "exit 1")
    assert code != 0
    assert edited == ""


def _made(folder: Path) -> None:
    for name, content in (("dist/ecg.whl", "wheel"), ("dist/ecg.tar.gz", "sdist")):
        (folder / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "made" / name).write_text(content)
    sums = subprocess.run(
        ["sha256sum", "ecg.whl", "ecg.tar.gz"], cwd=folder / "made/dist", capture_output=True, text=True, check=True
    )
    (folder / "made/dist/SHA256SUMS").write_text(sums.stdout)
    for image in ("ecg-interop", "ecg-ops"):
        (folder / "made" / f"image-{image}").mkdir()
        (folder / "made" / f"image-{image}" / f"{image}.cdx.json").write_text("{}")
        (folder / "made" / f"image-{image}" / f"{image}.digest").write_text("sha256:0")


SIGNS = {"cosign": 'for last; do :; done; [ -s "$last" ] && cp "$last" signed-content'}


def test_what_is_signed_covers_every_file_of_the_release(tmp_path: Path) -> None:
    _made(tmp_path)
    ran = run(TOGETHER, tmp_path, SIGNS)
    assert ran.code == 0, ran.output
    assert ran.calls == ["cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS"]
    assets = tmp_path / "assets"
    covered = {line.split()[1] for line in (assets / "signed-content").read_text().splitlines()}
    assert covered == {path.name for path in assets.iterdir()} - {"SHA256SUMS", "signed-content"}
    assert len(covered) == 6


def test_a_file_that_changed_on_its_way_is_not_signed(tmp_path: Path) -> None:
    _made(tmp_path)
    (tmp_path / "made/dist/ecg.whl").write_text("other")
    ran = run(TOGETHER, tmp_path, SIGNS)
    assert ran.code != 0
    assert ran.calls == []


def test_names_are_in_lower_case_and_the_version_is_that_of_the_project(tmp_path: Path) -> None:
    for name in ("pyproject.toml", ".git"):
        (tmp_path / name).symlink_to(ROOT / name)
    ran = run(NAMES, tmp_path, {}, OWNER="Some-Hospital", IMAGE="ecg-ops", HOME=str(tmp_path))
    assert ran.code == 0, ran.output
    image, version, epoch = ran.outputs.splitlines()
    assert image == "image=ghcr.io/some-hospital/ecg-ops"
    assert f"\n{version.replace('=', ' = ')}".replace("= ", '= "') in (ROOT / "pyproject.toml").read_text()
    assert epoch.removeprefix("epoch=").isdigit()


def test_a_regression_fails_the_step_although_its_table_goes_through_a_pipe(tmp_path: Path) -> None:
    programs = {
        "gh": 'case "$*" in *"run list"*) echo 11; echo 12;;'
        ' *"download 11"*) mkdir -p build/base/11; echo {} > build/base/11/bench.json;; *) exit 1;; esac',
        "python": "echo table; exit 1",
    }
    ran = run(COMPARE, tmp_path, programs, TOLERANCE="50", GH_TOKEN="none")
    assert ran.code == 1
    assert ran.calls[-1] == (
        "python scripts/bench_trend.py --base build/base/11/bench.json --new build/bench.json --tolerance 50"
    )
    assert ran.summary == "table\n"
    assert "run 12 has no figures" in ran.output


def test_without_earlier_runs_nothing_is_compared_and_it_is_said(tmp_path: Path) -> None:
    ran = run(COMPARE, tmp_path, {"gh": "true", "python": "exit 1"}, TOLERANCE="50", GH_TOKEN="none")
    assert ran.code == 0
    assert "nothing to compare" in ran.summary


@contextmanager
def _pod(status: int) -> Iterator[int]:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()
            self.wfile.write(b'{"status": "scripted"}')

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 22)])
def test_a_rollout_counts_when_a_pod_says_that_it_is_ready(status: int, code: int, tmp_path: Path) -> None:
    with _pod(status) as port:
        forwards = f"echo 'Forwarding from 127.0.0.1:{port} -> 8000'; exec sleep 60"
        script = SMOKE.read_text().replace("--retry 10", "--retry 1").replace("--retry-delay 3", "--retry-delay 0")
        (tmp_path / "smoke.sh").write_text(script)
        ran = run("sh smoke.sh ecg", tmp_path, {"kubectl": forwards})
    assert ran.code == code, ran.output
    assert '{"status": "scripted"}' in ran.output
    assert ran.calls == ["kubectl -n ecg port-forward deployment/ecg-interop :8000"]


def test_a_pod_that_cannot_be_reached_is_not_taken_for_a_ready_one(tmp_path: Path) -> None:
    ran = run(f"sh {SMOKE} ecg", tmp_path, {"kubectl": "exit 1"})
    assert ran.code == 1
    assert "no way to a pod" in ran.output
