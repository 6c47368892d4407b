import subprocess
from pathlib import Path

import pytest

from inference.errors import InvalidContent
from interop.signing import load_signing_key, load_verifying_key


def openssl(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, check=True)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A key as an operator makes it, private and public."""
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def test_what_is_signed_is_verified_and_nothing_else(keys: tuple[Path, Path]) -> None:
    sign, verify = load_signing_key(keys[0]), load_verifying_key(keys[1])
    signature = sign(b"manifest")
    assert verify(signature, b"manifest")
    assert not verify(signature, b"manifesto")
    assert not verify(signature[:-1] + b"\0", b"manifest")
    assert not verify(b"", b"manifest")


def test_openssl_verifies_it(keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"manifest")
    (tmp_path / "s").write_bytes(load_signing_key(keys[0])(b"manifest"))
    words = ("pkeyutl", "-verify", "-pubin", "-inkey", keys[1], "-rawin", "-in", tmp_path / "m")
    assert b"Success" in openssl(*words, "-sigfile", tmp_path / "s").stdout


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    file, public = tmp_path / "rsa.pem", tmp_path / "rsa.pub"
    openssl("genpkey", "-algorithm", "rsa", "-out", file)
    openssl("pkey", "-in", file, "-pubout", "-out", public)
    with pytest.raises(InvalidContent, match="Ed25519"):
        load_signing_key(file)
    with pytest.raises(InvalidContent, match="Ed25519"):
        load_verifying_key(public)


def test_a_file_that_is_no_key_and_a_key_of_the_other_side_are_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "text"
    other.write_text("no key")
    for wrong in (other, keys[1]):
        with pytest.raises(InvalidContent, match="no private key"):
            load_signing_key(wrong)
    for wrong in (other, keys[0]):
        with pytest.raises(InvalidContent, match="no public key"):
            load_verifying_key(wrong)


def test_a_key_with_a_password_is_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkcs8", "-topk8", "-in", keys[0], "-passout", "pass:x", "-out", locked)
    with pytest.raises(InvalidContent, match="password"):
        load_signing_key(locked)
