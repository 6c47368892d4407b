"""The MLLP listener."""

import asyncio
import logging
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from inference.errors import ConfigurationError
from interop.hl7.senders import load_senders
from interop.intake import Intake
from interop.mllp.connection import Connection
from interop.mllp.framing import Framer
from interop.mllp.handler import Handler
from interop.settings import Settings

log = logging.getLogger(__name__)

BUFFER_BYTES = 256 * 1024  # one 12-lead message arrives while the one before it is analysed
MAX_CONNECTIONS = 500  # each may hold a message of `ECG_MLLP_MAX_BYTES`


class MllpServer:
    """Accepts MLLP connections. Raises ConfigurationError at construction when `ECG_SENDERS` is wrong."""

    def __init__(self, intake: Intake, settings: Settings, on_queued: Callable[[], None] = lambda: None) -> None:
        senders = load_senders(settings.senders, settings.time_zone)
        self._handler = Handler(intake, settings, senders, on_queued)
        self._metrics = intake.metrics
        self._settings = settings
        self._allowed = tuple(ip_network(network) for network in settings.mllp_allow)
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    @property
    def port(self) -> int:
        """The bound port."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("the MLLP listener is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None and self._server.is_serving()

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises ConfigurationError naming port and setting when it is taken."""
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=BUFFER_BYTES)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(f"cannot listen on {host}:{port} (ECG_MLLP_PORT): {reason}") from error

    async def close(self, drain_seconds: float) -> None:
        """Stop accepting, let messages in hand be answered, then cut what remains."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.stop()
        if tasks := list(self._connections.values()):
            _, late = await asyncio.wait(tasks, timeout=drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if not self._admits(peer[0] if peer else None):
            log.warning("MLLP connection refused", extra={"peer": peer[0] if peer else None})
            writer.close()
            return
        connection = Connection(
            reader,
            writer,
            self._handler,
            Framer(self._settings.mllp_max_bytes),
            self._settings.mllp_message_timeout.total_seconds(),
        )
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("asyncio runs this callback in a task")
        self._connections[connection] = task
        self._metrics.mllp_connections(+1)
        try:
            await connection.serve()
        finally:
            self._metrics.mllp_connections(-1)
            del self._connections[connection]

    def _admits(self, address: str | None) -> bool:
        """Whether a peer is on the list (`ECG_MLLP_ALLOW`); without one everybody who reaches the socket is."""
        if address is None or len(self._connections) >= MAX_CONNECTIONS:
            return False
        if not self._allowed:
            return True
        peer = ip_address(address)
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._allowed)
