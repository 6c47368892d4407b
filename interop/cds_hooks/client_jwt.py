"""Who calls: the JSON Web Token of a CDS client (CDS Hooks 2.0, section Trusting CDS Clients; RFC 7519, RFC 8725).

With `ECG_CDS_CLIENTS` every call of a service and every feedback needs `Authorization: Bearer <JWT>`, signed by a
client of that file with RS384 or ES384, for the very URL that is called, with a life of an hour at most, and never seen
before. Which tokens were seen is known to each process by itself: with several, or after a restart, one can come once
more to each before it expires. docs/cds-hooks.md says why that is acceptable, and what to do where it is not.

    [{"iss": "https://ehr.example", "jwks": {"keys": [...]}},
     {"iss": "https://other.example", "jwks_uri": "https://other.example/jwks.json"}]

PyJWT does the cryptography and is imported when clients are configured, not otherwise.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from actions.ports import Clock
from inference.errors import ConfigurationError, Unauthorized
from interop.cds_hooks.client_keys import ALGORITHMS, ClientKeys, FetchedKeys, GivenKeys, key_request, read_key_set
from interop.cds_hooks.outgoing import Outgoing
from interop.cds_hooks.seen_tokens import SeenTokens
from interop.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

LEEWAY_SECONDS = 30  # between two clocks that are kept right
MAX_LIFE_SECONDS = 3600  # a token is made for one call; how long it must be remembered
MAX_TOKEN = 8192  # with RSA of 8192 bits and every claim of the specification one takes 2,500 characters
MAX_TEXT = 2000  # of iss, kid, jti
LAST_TIME = 253_402_300_799  # the year 9999, in seconds since 1970
ENTRY_MEMBERS = {"iss", "jwks", "jwks_uri"}
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "jti"]

# RFC 6750 section 2.1, RFC 7515 section 7.1; schemes are compared without case (RFC 9110 section 11.1).
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+) *")


class Reason(StrEnum):
    """Why a token is not taken. For the log; the caller is told nothing (CDS Hooks best practices)."""

    ABSENT = "no-token"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    TYPE = "type"
    CRITICAL = "critical-header"
    ALGORITHM = "algorithm"
    ISSUER = "unknown-issuer"
    KEY_URL = "key-url"
    KEY = "unknown-key"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    EXPIRED = "expired"
    EARLY = "not-yet-valid"
    LONG = "lives-too-long"
    REPLAYED = "replayed"


class NotTaken(Exception):
    """A token is not taken; stays inside this module and its tests."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Client:
    """One entry of the file."""

    iss: str
    keys: ClientKeys
    jwks_uri: str | None = None
    seen: SeenTokens = field(default_factory=SeenTokens)


class ClientTokens:
    """Verifies the tokens of all clients."""

    def __init__(self, clients: Sequence[Client], clock: Clock) -> None:
        self._clients = {client.iss: client for client in clients}
        self._clock = clock

    async def verify(self, authorization: str | None, audience: str) -> str:
        """The `iss` of the caller. authorization: the header. audience: the exact URL that was called.

        Raises Unauthorized, which tells nothing of what is wrong; Overloaded when a client has too many tokens in use.
        """
        try:
            return await self._verified(authorization, audience)
        except NotTaken as not_taken:
            log.info("CDS client refused", extra={"reason": not_taken.reason.value})
        raise Unauthorized("a valid token of a known CDS client is required")

    async def _verified(self, authorization: str | None, audience: str) -> str:
        token = _bearer(authorization)
        header, claimed = _unverified(token)
        client = self._client(header, claimed)
        key = await client.keys.find(_text(header.get("kid"), Reason.KEY))
        if key is None or key.algorithm_name != header["alg"]:
            raise NotTaken(Reason.KEY)
        claims = _signed_claims(token, key, client.iss, audience)
        self._refuse_used(client, claims)
        return client.iss

    def _client(self, header: Mapping[str, Any], claimed: Mapping[str, Any]) -> Client:
        """Whose token it says it is. Nothing is asked of anyone for a client that is not known."""
        if str(header.get("typ")).upper() != "JWT":
            raise NotTaken(Reason.TYPE)
        if header.get("alg") not in ALGORITHMS.values():
            raise NotTaken(Reason.ALGORITHM)
        if "crit" in header:  # RFC 7515 section 4.1.11: what must be understood, and is not
            raise NotTaken(Reason.CRITICAL)
        client = self._clients.get(_text(claimed.get("iss"), Reason.ISSUER))
        if client is None:
            raise NotTaken(Reason.ISSUER)
        if "jku" in header and header["jku"] != client.jwks_uri:
            raise NotTaken(Reason.KEY_URL)
        return client

    def _refuse_used(self, client: Client, claims: Mapping[str, Any]) -> None:
        """By time first: what has expired is not remembered."""
        now = self._clock().timestamp()
        expires, issued = _number(claims["exp"]), _number(claims["iat"])
        if expires <= now - LEEWAY_SECONDS:
            raise NotTaken(Reason.EXPIRED)
        if max(issued, _number(claims.get("nbf", issued))) > now + LEEWAY_SECONDS:
            raise NotTaken(Reason.EARLY)
        if not 0 < expires - issued <= MAX_LIFE_SECONDS:
            raise NotTaken(Reason.LONG)
        jti = _text(claims["jti"], Reason.CLAIMS)
        if not client.seen.is_new(jti, expires_at=expires + LEEWAY_SECONDS, now=now):
            raise NotTaken(Reason.REPLAYED)


def client_tokens(settings: Settings, clock: Clock, outgoing: Outgoing | None = None) -> ClientTokens | None:
    """Who may call by `ECG_CDS_CLIENTS`, None where it is not set. outgoing: by what keys are fetched.

    Raises ConfigurationError naming the file and everything that is wrong in it.
    """
    path = settings.cds_clients
    if path is None:
        return None
    entries = _entries(path)
    if settings.public_url is None:  # a token for another service would be good here, with that service's name as Host
        raise _wrong(
            path, "needs ECG_PUBLIC_URL: tokens are for one URL, and the Host header is the caller's to choose"
        )
    problems = [f"{place}: {problem}" for place, entry in entries.items() for problem in _problems(entry)]
    known = [entry["iss"] for entry in entries.values() if isinstance(entry, dict) and "iss" in entry]
    problems += [
        f"iss {iss!r} is there more than once" for iss in dict.fromkeys(map(str, known)) if known.count(iss) > 1
    ]
    if problems:
        raise _wrong(path, "; ".join(problems))
    calls = outgoing or Outgoing(settings.cds_fetch_timeout)
    return ClientTokens([_client_of(entry, clock, calls) for entry in entries.values()], clock)


def _entries(path: Path) -> dict[str, Any]:
    """Each entry by its place. Raises ConfigurationError."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _wrong(path, str(error.strerror)) from error
    except orjson.JSONDecodeError as error:
        raise _wrong(path, f"no JSON: {error}") from error
    if not isinstance(content, list) or not content:
        raise _wrong(path, "a JSON list with one client or more is needed")
    return {f"[{number}]": entry for number, entry in enumerate(content)}


def _problems(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return ["is no JSON object"]
    problems = [f"{name} is not known" for name in sorted(entry.keys() - ENTRY_MEMBERS)]
    iss = entry.get("iss")
    if not isinstance(iss, str) or not 0 < len(iss) <= MAX_TEXT:
        problems.append("iss is needed, a text")
    if ("jwks" in entry) == ("jwks_uri" in entry):
        problems.append("either jwks or jwks_uri is needed")
    if "jwks" in entry:
        problems += [f"jwks {problem}" for problem in read_key_set(entry["jwks"]).problems]
    if "jwks_uri" in entry:
        problems += _uri_problems(entry["jwks_uri"])
    return problems


def _uri_problems(uri: object) -> list[str]:
    try:
        key_request(uri if isinstance(uri, str) else "")
    except ValueError as error:
        return [f"jwks_uri {error}"]
    return []


def _client_of(entry: Mapping[str, Any], clock: Clock, outgoing: Outgoing) -> Client:
    uri = entry.get("jwks_uri")
    keys = GivenKeys(read_key_set(entry["jwks"]).keys) if uri is None else FetchedKeys(uri, clock, outgoing)
    return Client(entry["iss"], keys, uri)


def _wrong(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(f"ECG_CDS_CLIENTS={path}: {problem}")


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise NotTaken(Reason.ABSENT)
    if len(authorization) > MAX_TOKEN:
        raise NotTaken(Reason.OVERSIZED)
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise NotTaken(Reason.MALFORMED)
    return found["token"]


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as anyone could have written them."""
    import jwt

    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError) as error:
        raise NotTaken(Reason.MALFORMED) from error
    return parts["header"], parts["payload"]


def _signed_claims(token: str, key: "PyJWK", iss: str, audience: str) -> dict[str, Any]:
    """The claims, now that the signature holds. Times are checked by our own clock."""
    import jwt

    options: Any = {"require": REQUIRED_CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    try:
        return jwt.decode(token, key, algorithms=[key.algorithm_name], audience=audience, issuer=iss, options=options)
    except jwt.InvalidSignatureError as error:
        raise NotTaken(Reason.SIGNATURE) from error
    except jwt.InvalidAudienceError as error:
        raise NotTaken(Reason.AUDIENCE) from error
    except (jwt.PyJWTError, ValueError) as error:
        raise NotTaken(Reason.CLAIMS) from error


def _text(value: object, reason: Reason) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise NotTaken(reason)
    return value


def _number(value: object) -> float:
    """A NumericDate (RFC 7519 section 2). NaN, which Python's JSON takes, would pass every comparison."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_TIME:
        raise NotTaken(Reason.CLAIMS)
    return float(value)
