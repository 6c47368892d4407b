"""Reading from the FHIR server that a hook call names (CDS Hooks 2.0, section FHIR Resource Access).

The caller chooses the address, so it must not be a way into the network that this service stands in (server-side
request forgery). A server may be read from where

- `ECG_CDS_FHIR_SERVERS` names its base, or a path above it: hospital EHRs live on private networks;
- or it is https, every address of its name is global, and the caller proved who it is or is on this machine;
- or it and the caller are both on this machine: whoever calls gains nothing.

A caller is on this machine while the service listens on loopback only and `ECG_PUBLIC_URL` does not say that others
reach it all the same, through a proxy.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from actions.ports import Clock
from inference.errors import ConfigurationError, DataMissing
from interop.cds_hooks.outgoing import CallFailed, CallRefused, Outgoing, Reach, Reply, Request
from interop.cds_hooks.server_url import ServerUrl, read_or_search
from interop.settings import MEGABYTE, Settings

log = logging.getLogger(__name__)

# A Bundle of a few ECGs at 300 KB; what this service takes itself, too.
MAX_BYTES = 16 * MEGABYTE
# A longer promise is not needed for one hook call, and a number without bound is no time.
MAX_EXPIRES_IN = 86_400
ELEMENT = "fhirServer"
# 4xx that say "not now" instead of "no" (RFC 9110 section 15.5, RFC 6585 section 4).
_NOT_NOW = (408, 425, 429)


class FhirServerUnavailable(DataMissing):
    """It could not be reached, was too slow, or answered with an error of its own or with what is no FHIR."""


class FhirServerRefused(DataMissing):
    """It may not be called from here, or says no (401, 403, 404 and the like)."""


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """Where a hook call lets us read, and as whom. expires_at: of the token. caller: the `iss` of a verified JWT."""

    server: str
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    caller: str | None = None

    @classmethod
    def granted(
        cls, server: str, token: str, expires_in: int, *, received_at: datetime, caller: str | None = None
    ) -> Self:
        """With a token of `fhirAuthorization`. expires_in: seconds after the call came in."""
        lifetime = timedelta(seconds=min(max(expires_in, 0), MAX_EXPIRES_IN))
        return cls(server, token, received_at + lifetime, caller)


class FhirServers:
    """All FHIR servers that hook calls name. One for the whole process: connections stay open between calls."""

    def __init__(self, settings: Settings, clock: Clock, outgoing: Outgoing | None = None) -> None:
        """Raises ConfigurationError naming every entry of ECG_CDS_FHIR_SERVERS that is no base URL."""
        self._listed = _listed(settings.cds_fhir_servers)
        self._callers_are_local = _callers_are_local(settings)
        self._clock = clock
        self._outgoing = outgoing or Outgoing(settings.cds_fetch_timeout)

    async def get(self, access: FhirAccess, relative: str) -> dict[str, Any]:
        """The resource at `Patient/123`, or the searchset of `Observation?patient=123&code=...`.

        Raises FhirServerRefused, FhirServerUnavailable; their text names neither the server nor the patient.
        """
        try:
            reply = await self._outgoing.get(self._request(access, relative))
        except CallRefused as refused:
            raise _refused("address", "the FHIR server may not be called from here") from refused
        except CallFailed as failed:
            raise _unavailable(str(failed)) from failed
        return _resource(reply)

    async def close(self) -> None:
        """Close the connections."""
        await self._outgoing.close()

    def _request(self, access: FhirAccess, relative: str) -> Request:
        try:
            base = ServerUrl.parse(access.server)
            target = read_or_search(base, relative)
        except ValueError as error:
            raise _refused("url", "the FHIR server's URL, or what is asked of it, is not taken") from error
        headers = {"Accept": "application/fhir+json", **self._authorization(access)}
        return Request(
            server=base, target=target, headers=headers, reach=self._reach(base, access.caller), max_bytes=MAX_BYTES
        )

    def _authorization(self, access: FhirAccess) -> dict[str, str]:
        if access.token is None:
            return {}
        if access.expires_at is not None and self._clock() >= access.expires_at:
            raise _refused("token-expired", "the access token has expired")
        if not access.token.isascii() or not access.token.isprintable() or " " in access.token:
            raise _refused("token", "the access token cannot be sent")
        return {"Authorization": f"Bearer {access.token}"}

    def _reach(self, base: ServerUrl, caller: str | None) -> Reach:
        if any(listed.covers(base) for listed in self._listed):
            return Reach.ANYWHERE
        reach = Reach(0)
        if base.is_secure and (caller is not None or self._callers_are_local):
            reach |= Reach.GLOBAL
        if self._callers_are_local:
            reach |= Reach.LOOPBACK
        if not reach:
            raise _refused("not-listed", "the FHIR server may not be called from here")
        return reach


def _listed(urls: Sequence[str]) -> list[ServerUrl]:
    listed, problems = [], []
    for number, url in enumerate(urls, start=1):
        try:
            listed.append(ServerUrl.parse(url))
        except ValueError as error:  # without the URL, which may hold a password
            problems.append(f"entry {number} {error}")
    if problems:
        raise ConfigurationError(f"ECG_CDS_FHIR_SERVERS: {'; '.join(problems)}")
    return listed


def _callers_are_local(settings: Settings) -> bool:
    if not settings.is_loopback:
        return False
    if settings.public_url is None:
        return True
    try:
        host = ServerUrl.parse(settings.public_url).host
    except ValueError:
        return False
    return host in ("localhost", "127.0.0.1", "::1")


def _resource(reply: Reply) -> dict[str, Any]:
    if reply.status == 200:
        return _read(reply.body)
    if 400 <= reply.status < 500 and reply.status not in _NOT_NOW:
        raise _refused(f"status-{reply.status}", f"the FHIR server answered {reply.status}")
    raise _unavailable(f"status-{reply.status}")  # a redirect, too: it would lead where nobody checked


def _read(body: bytes) -> dict[str, Any]:
    try:
        resource = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unavailable("no-json") from error
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise _unavailable("no-resource")
    return resource


def _refused(reason: str, text: str) -> FhirServerRefused:
    log.info("FHIR server not read", extra={"reason": reason})
    return FhirServerRefused(text, element=ELEMENT)


def _unavailable(reason: str) -> FhirServerUnavailable:
    log.warning("FHIR server not read", extra={"reason": reason})
    return FhirServerUnavailable("the FHIR server could not be read", element=ELEMENT)
