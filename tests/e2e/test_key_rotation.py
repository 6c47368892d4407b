"""Keys are changed without a moment in which a good one is refused, as docs/continuity.md says. The database's password
is changed under traffic by `make drill`."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from interop.client import hook_call
from tests.e2e.conftest import Service, command, running
from tests.e2e.doors import ecg
from tests.interop.cds_hooks.ehr import jwk

pytestmark = pytest.mark.slow

ISSUER, PUBLIC = "https://ehr.example", "https://ecg.example"
SERVICE = "/cds-services/ecg-patient-view"


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def clients(folder: Path, *names: str) -> dict[str, str]:
    file = folder / "clients.json"
    file.write_bytes(orjson.dumps([{"iss": ISSUER, "jwks": {"keys": [jwk(key(name), name) for name in names]}}]))
    return {"cds_clients": str(file), "public_url": PUBLIC}


def call(service: Service, name: str) -> int:
    """The answer to a hook call with a token of this key."""
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": f"{PUBLIC}{SERVICE}",
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "jti": uuid4().hex,
    }
    headers = {
        "Authorization": f"Bearer {jwt.encode(claims, key(name), 'ES384', headers={'kid': name})}",
        "Content-Type": "application/json",
    }
    return httpx.post(f"{service.url}{SERVICE}", content=hook_call(ecg(), "H-1"), headers=headers).status_code


@pytest.mark.timeout(300)
def test_a_cds_client_has_two_keys_while_it_changes_them(tmp_path: Path) -> None:
    with running(tmp_path, **clients(tmp_path, "old")) as service:
        assert (call(service, "old"), call(service, "new")) == (200, 401)
        clients(tmp_path, "old", "new")
        assert call(service, "new") == 401, "the file is read at the start only: a restart is part of the change"
    with running(tmp_path, **clients(tmp_path, "old", "new")) as service:
        assert (call(service, "old"), call(service, "new")) == (200, 200)
    with running(tmp_path, **clients(tmp_path, "new")) as service:
        assert (call(service, "old"), call(service, "new")) == (401, 200)


def test_exports_that_an_old_key_signed_stay_verifiable(tmp_path: Path) -> None:
    for name in ("old", "new"):
        pair = str(tmp_path / name)
        private = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{pair}.pem"]
        public = ["openssl", "pkey", "-in", f"{pair}.pem", "-pubout", "-out", f"{pair}.pub"]
        for step in (private, public):
            subprocess.run(step, check=True, capture_output=True)
    with running(tmp_path):
        for name in ("old", "new"):
            period = ("--from", "2026-01-01", "--to", "2100-01-01")
            key_file = str(tmp_path / f"{name}.pem")
            done = command(
                "audit", "export", *period, "-o", f"{tmp_path}/{name}.zip", "--sign", key_file, folder=tmp_path
            )
            assert done.returncode == 0, done.stderr

    def verified(export: str, name: str) -> int:
        words = ("audit", "check-export", f"{tmp_path}/{export}.zip", "--key", f"{tmp_path}/{name}.pub")
        return command(*words, folder=tmp_path).returncode

    assert [verified("old", "old"), verified("new", "new")] == [0, 0]
    assert [verified("old", "new"), verified("new", "old")] == [1, 1]
