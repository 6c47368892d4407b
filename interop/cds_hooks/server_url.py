"""URLs that others name and this service may call, by a grammar narrower than RFC 3986.

What one parser takes for the host another takes for user information: that is how guards are passed. So nothing is
taken that two parsers could read differently, and what was read here, piece by piece, is what is connected to and
sent; the text is never parsed again.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Self

# Browsers and servers take about so much.
MAX_URL = 2000
MAX_TARGET = 8000
DEFAULT_PORTS = {"http": 80, "https": 443}

# ASCII only: a name beyond it comes as punycode. No percent sign: `%2e%2e` is `..` to some servers.
_URL = re.compile(
    r"(?P<scheme>(?i:https?))://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*)"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# An IPv4 address by the WHATWG URL standard, whatever comes before: 2130706433, 127.1 and 0x7f.1 are 127.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# FHIR R4 http.html: read and search of a type; ids by datatypes.html#id. `|` is common and sent as %7C.
_RELATIVE = re.compile(r"[A-Z][A-Za-z]{1,63}(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?(?:\?(?P<query>.*))?")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?|-]|%[0-9A-Fa-f]{2})*")
_DOTS = (".", "..")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """An absolute http or https URL without user information, query and fragment.

    host: in lower case, an IPv6 address without brackets. port: always told. path: empty or with a slash in front.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError with what is wrong; the text itself is not in it."""
        found = _URL.fullmatch(text) if len(text) <= MAX_URL else None
        if found is None:
            raise ValueError("is no plain http or https URL (no user, query, fragment, percent sign)")
        _refuse_segments(found["path"])
        scheme = found["scheme"].lower()
        port = int(found["port"]) if found["port"] else DEFAULT_PORTS[scheme]
        if not 0 < port <= 65535:
            raise ValueError("has no possible port")
        return cls(scheme, _host(found["host"].lower()), port, found["path"])

    @property
    def is_secure(self) -> bool:
        """Whether it is https."""
        return self.scheme == "https"

    @property
    def base(self) -> str:
        """The path without a slash at its end: `/fhir` and `/fhir/` are one FHIR server."""
        return self.path.rstrip("/")

    @property
    def authority(self) -> str:
        """What belongs in the Host header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def covers(self, other: "ServerUrl") -> bool:
        """Whether the other is the same server, at or below this path; `/fhir` does not cover `/fhir2`."""
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        return other.base == self.base or other.base.startswith(f"{self.base}/")


def read_or_search(base: ServerUrl, relative: str) -> str:
    """The request target (RFC 9110 section 7.1) of `Patient/123` or `Observation?patient=123` at a FHIR server.

    Raises ValueError for everything that is neither a read nor a search of a type.
    """
    found = _RELATIVE.fullmatch(relative)
    if found is None or found["id"] in _DOTS:
        raise ValueError("is no Type/id and no Type?query")
    return with_query(f"{base.base}/{relative.partition('?')[0]}", found["query"])


def with_query(path: str, query: str | None) -> str:
    """A request target. Raises ValueError for characters that no query has (RFC 3986 section 3.4)."""
    if query is None:
        return path
    target = f"{path}?{query.replace('|', '%7C')}"
    if not _QUERY.fullmatch(query) or len(target) > MAX_TARGET:
        raise ValueError("has no valid query")
    return target


def _host(text: str) -> str:
    """Raises ValueError."""
    labels = text.split(".")
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        if all(map(_LABEL.fullmatch, labels)):
            return str(ip_address(text)) if _NUMBER.fullmatch(labels[-1]) else text
    except ValueError as error:  # its words quote the address
        raise ValueError("has no possible host") from error
    raise ValueError("has no possible host")


def _refuse_segments(path: str) -> None:
    """Raises ValueError for `..` and for empty segments, which servers resolve each in its own way."""
    segments = path.split("/")[1:]
    if any(segment in _DOTS for segment in segments) or "" in segments[:-1]:
        raise ValueError("has an empty or dotted segment in its path")
