"""The public keys of CDS clients, as JWK Sets (RFC 7517): given in the file of clients, or fetched from the client.

Only keys that can verify what is taken: RSA of 2048 bits or more for RS384, P-384 for ES384 (RFC 7518 sections 3.3 and
3.4). A set may hold others, for encryption or for other algorithms; they are passed over. A secret key is no public
key: it is refused, and so is a symmetric one, with which whoever can verify could sign.

PyJWT is imported when the first key is read: not at all where no clients are configured.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from actions.ports import Clock
from interop.cds_hooks.outgoing import CallFailed, CallRefused, Outgoing, Reach, Request
from interop.cds_hooks.server_url import ServerUrl, with_query

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

# (kty, crv) -> alg. What CDS Hooks 2.0 recommends, section JWT Signing Algorithm.
ALGORITHMS: Mapping[tuple[str, str | None], str] = {("RSA", None): "RS384", ("EC", "P-384"): "ES384"}
# RFC 7518 section 3.3; more than the upper bound only costs time.
RSA_BITS = range(2048, 8193)
# RFC 7518 sections 6.2.2, 6.3.2 and 6.4.
_SECRET = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

# A set is good for so long; it is fetched anew before that, so that no call waits for it.
GOOD_FOR = timedelta(minutes=10)
FETCHED_AFTER = timedelta(minutes=5)
# While the client's server is down its last keys go on, but a key that was withdrawn must end some time.
STALE_AFTER = timedelta(hours=1)
# Tokens with unknown keys, which anyone can make up, do not become requests to the client.
FETCH_INTERVAL = timedelta(seconds=30)
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys by kid. problems: what is wrong with the others, without their content."""

    keys: "Mapping[str, PyJWK]" = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class ClientKeys(Protocol):
    """Where the keys of one client come from."""

    async def find(self, kid: str) -> "PyJWK | None":
        """The key, None where there is none (now)."""
        ...


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Those of the file."""

    keys: "Mapping[str, PyJWK]"

    async def find(self, kid: str) -> "PyJWK | None":
        """The key."""
        return self.keys.get(kid)


class FetchedKeys:
    """Those at the client's `jwks_uri`, kept for a while."""

    def __init__(self, uri: str, clock: Clock, outgoing: Outgoing) -> None:
        """Raises ValueError for what is no https URL."""
        self._request = key_request(uri)
        self._clock = clock
        self._outgoing = outgoing
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> "PyJWK | None":
        """The key; a set that is too old, or does not have it, is fetched first, though not all the time."""
        age = self._age()
        lacks = kid not in self._keys or age > GOOD_FOR
        if self._fetching is None and (lacks or age > FETCHED_AFTER) and self._may_try():
            self._fetching = asyncio.create_task(self._fetch())
        if self._fetching is not None and lacks:
            await asyncio.shield(self._fetching)  # others wait for it, too
        return self._keys.get(kid) if self._age() <= STALE_AFTER else None

    def _age(self) -> timedelta:
        return timedelta.max if self._fetched_at is None else self._clock() - self._fetched_at

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= FETCH_INTERVAL

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            reply = await self._outgoing.get(self._request)
            if reply.status != 200:
                raise CallFailed(f"status-{reply.status}")
            document = orjson.loads(reply.body)
            if not isinstance(document, dict) or "keys" not in document:
                raise CallFailed("no JWK Set")
            found = read_key_set(document)
        except (CallFailed, CallRefused, orjson.JSONDecodeError) as error:
            log.warning("keys of a CDS client not fetched", extra={"reason": type(error).__name__})
        else:
            self._keys, self._fetched_at = found.keys, self._clock()
            if found.problems:
                log.warning("keys of a CDS client not taken", extra={"keys": len(found.problems)})
        finally:
            self._fetching = None


def key_request(uri: str) -> Request:
    """How a JWK Set is asked for. It may be anywhere: the operator named it. Raises ValueError."""
    address, mark, query = uri.partition("?")
    server = ServerUrl.parse(address)
    if not server.is_secure:
        raise ValueError("is no https URL")
    return Request(
        server=server,
        target=with_query(server.path or "/", query if mark else None),
        # Once in minutes: nothing stays open that somebody would have to close.
        headers={"Accept": "application/jwk-set+json, application/json", "Connection": "close"},
        reach=Reach.ANYWHERE,
        max_bytes=MAX_BYTES,
    )


def read_key_set(document: object) -> KeySet:
    """The usable keys of a JWK Set, and what is wrong with it. Raises nothing: a set from outside may be anything."""
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        return KeySet(problems=("has no list of keys",))
    keys: dict[str, PyJWK] = {}
    problems = []
    for number, jwk in enumerate(members):
        try:
            key = _read_key(jwk)
            if key is not None and key.key_id in keys:
                raise ValueError("has the kid of another key")
        except ValueError as error:
            problems.append(f"keys[{number}] {error}")
        else:
            keys |= {} if key is None else {str(key.key_id): key}
    if not keys:
        problems.append("has no key for RS384 or ES384")
    return KeySet(keys, tuple(problems))


def _read_key(jwk: object) -> "PyJWK | None":
    """None for a key that is meant for something else. Raises ValueError."""
    if not isinstance(jwk, dict):
        raise ValueError("is no JSON object")
    if any(name in jwk for name in _SECRET):
        raise ValueError("is a private or a symmetric key; only the public part belongs here")
    algorithm = _algorithm(jwk)
    if algorithm is None:
        return None
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        raise ValueError("has no kid")
    return _made(jwk, algorithm)


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    """What the key is for (RFC 7517 section 4), if that is to verify what is taken here."""
    kind = (jwk.get("kty"), jwk.get("crv"))
    algorithm = ALGORITHMS.get(kind) if all(isinstance(part, str | None) for part in kind) else None  # type: ignore[arg-type]
    operations = jwk.get("key_ops", ["verify"])
    is_for_us = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    return algorithm if is_for_us and jwk.get("alg", algorithm) == algorithm else None


def _made(jwk: dict[str, Any], algorithm: str) -> "PyJWK":
    from jwt import PyJWK, PyJWTError

    try:
        key = PyJWK(jwk, algorithm)
    except (PyJWTError, ValueError, TypeError) as error:
        raise ValueError("is no valid key") from error
    if algorithm == "RS384" and key.key.key_size not in RSA_BITS:
        raise ValueError(f"has {key.key.key_size} bits; {RSA_BITS[0]} to {RSA_BITS[-1]} are taken")
    return key
