"""Where notices arrive in tests: a real SMTP server and a real HTTP server on loopback, which may refuse, hang or be
down."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of this machine, which is its own authority, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return public, context


@dataclass
class MailServer:
    """An SMTP server. tls: STARTTLS is needed before anything else; `immediate`: TLS from the start instead. login:
    what it asks for. refusal: its answer to a message, where it takes none. refused: addresses that it does not
    know."""

    tls: ssl.SSLContext | None = None
    immediate: bool = False
    login: tuple[str, str] | None = None
    refusal: str | None = None
    refused: frozenset[str] = frozenset()
    port: int = field(default_factory=free_port)
    arrived: list[tuple[float, list[str], EmailMessage]] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        """Of what has arrived, in order."""
        return [str(mail["Subject"]) for _, _, mail in self.arrived]

    @contextmanager
    def listening(self) -> Iterator["MailServer"]:
        """Up for the time of the block."""
        controller = Controller(self, hostname=LOOPBACK, port=self.port, **self._options())
        controller.start()
        try:
            yield self
        finally:
            controller.stop()

    def _options(self) -> dict[str, Any]:
        security = {"ssl_context": self.tls} if self.immediate else {"tls_context": self.tls, "require_starttls": True}
        options: dict[str, Any] = security if self.tls else {}
        if self.login:
            # It does not know of TLS from the start: `handle_DATA` asks for the login then.
            asked = {"auth_require_tls": not self.immediate, "auth_required": not self.immediate}
            options |= asked | {"authenticator": self._known}
        return options

    def _known(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        known = (data.login.decode(), data.password.decode()) == self.login
        return AuthResult(success=known, handled=False)  # the server says so

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return f"550 no such box: {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusal or (self.login and not session.authenticated):
            return self.refusal or "530 who are you?"
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.arrived.append((monotonic(), list(envelope.rcpt_tos), mail))
        return "250 OK"


@dataclass
class WebhookServer:
    """An HTTP server that takes what is posted. answer: status and body. hangs: it answers only when that is set."""

    answer: tuple[int, bytes] = (200, b"ok")
    hangs: threading.Event | None = None
    port: int = field(default_factory=free_port)
    arrived: list[tuple[float, str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """host:port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def bodies(self) -> list[Any]:
        """Of what has arrived, in order."""
        return [body for _, _, body in self.arrived]

    @contextmanager
    def listening(self) -> Iterator["WebhookServer"]:
        """Up for the time of the block."""
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                mine.arrived.append((monotonic(), self.path, body))
                if mine.hangs is not None:
                    mine.hangs.wait()
                status, content = mine.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that was killed does not wait for its answer."""

        server = Server((LOOPBACK, self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
