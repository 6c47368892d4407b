"""Ed25519 keys in PEM files (RFC 8032, RFC 8410), as `openssl genpkey -algorithm ed25519` makes them."""

from collections.abc import Callable
from pathlib import Path

from inference.errors import InvalidContent


def load_signing_key(file: Path) -> Callable[[bytes], bytes]:
    """What signs with a private key. Raises InvalidContent for another kind of file or key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidContent(f"{file}: no private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidContent(f"{file}: an Ed25519 key is needed (openssl genpkey -algorithm ed25519)")
    return key.sign


def load_verifying_key(file: Path) -> Callable[[bytes, bytes], bool]:
    """What tells whether (signature, content) is of a public key. Raises InvalidContent."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(file.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidContent(f"{file}: no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidContent(f"{file}: an Ed25519 key is needed (openssl pkey -pubout)")
    public = key

    def verify(signature: bytes, content: bytes) -> bool:
        try:
            public.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return verify
