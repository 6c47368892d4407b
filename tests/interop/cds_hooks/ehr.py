"""The other side: an EHR's web server on a socket of this machine, its certificates, its keys and its tokens."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeAlias

import jwt
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from interop.cds_hooks.outgoing import Address, Resolve

HOST = "ehr.example"
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    target: str
    headers: Mapping[str, str]


Answer: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes = b"{}", status: int = 200, /, **headers: str) -> Answer:
    """A whole answer. headers: with underscores."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}", *lines])

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return answer


def resource(**members: Any) -> Answer:
    """A FHIR resource."""
    return reply(orjson.dumps({"resourceType": "Patient"} | members))


def bytes_as_they_are(content: bytes) -> Answer:
    """Not even HTTP."""

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    return answer


async def silence(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await asyncio.sleep(60)


async def drops(_: Asked, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
    """A body as fast as it is taken, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    while True:
        writer.write(piece)
        await writer.drain()


@dataclass
class Ehr:
    """Answers every request with `answer`, and remembers what was asked and how often somebody connected."""

    answer: Answer = field(default_factory=resource)
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._open: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base(self) -> str:
        """The FHIR base, by the name in the certificate if it has one."""
        return f"https://{HOST}:{self.port}/fhir" if self.tls else f"http://127.0.0.1:{self.port}/fhir"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = (line.partition(":") for line in head[1:] if line)
                asked = Asked(head[0].split(" ")[1], {name.lower(): value.strip() for name, _, value in fields})
                self.asked.append(asked)
                await self.answer(asked, writer)
        self._open.discard(task)
        writer.transport.abort()


class Names:
    """A resolver: each name (dots written as underscores) with its addresses, every other unknown."""

    def __init__(self, **names: str) -> None:
        self._names = {
            name.replace("_", "."): [ip_address(one) for one in text.split()] for name, text in names.items()
        }
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        if host not in self._names:
            raise OSError("Name or service not known")
        return self._names[host]


def here() -> Resolve:
    """The name in the certificates is this machine."""
    return Names(ehr_example="127.0.0.1")


@cache
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server called HOST, and for a client that trusts the authority behind it."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Test authority", authority_key, "Test authority", authority_key)
    server = _certificate("Test server", server_key, "Test authority", authority_key)
    client_side = ssl.create_default_context(cadata=authority.public_bytes(serialization.Encoding.PEM).decode())
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "server.pem"
        file.write_bytes(server.public_bytes(serialization.Encoding.PEM) + pem(server_key))
        server_side.load_cert_chain(file)
    return server_side, client_side


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=key is issuer_key, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if key is not issuer_key:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def pem(key: PrivateKey) -> bytes:
    """A private key as a file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A private key; another for each number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """A private key on P-384; another for each number."""
    return ec.generate_private_key(ec.SECP384R1())


def jwk(key: PrivateKey, kid: str, **members: Any) -> dict[str, Any]:
    """The public part as a JSON Web Key."""
    public: dict[str, Any] = (
        jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        if isinstance(key, rsa.RSAPrivateKey)
        else jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    )
    return {name: value for name, value in public.items() if name != "key_ops"} | {"kid": kid} | members


def algorithm_of(key: PrivateKey) -> str:
    """What the key signs with."""
    return "RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
