"""What stands before several processes of a service in a cluster: new connections go to the ready ones in turn, those
that are open stay where they are (as with a Kubernetes Service and kube-proxy)."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

Address = tuple[str, int]


class Balancer:
    """backends: where new connections go; replace the list to change that."""

    def __init__(self, *backends: Address) -> None:
        self.backends = list(backends)
        self._turns = count()
        self._connections: list[tuple[threading.Thread, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address: Address = self._listener.getsockname()

    def accept(self) -> None:
        """Until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                backends = self.backends
                backend = socket.create_connection(backends[next(self._turns) % len(backends)])
                thread = threading.Thread(target=pass_on, args=(client, backend))
                thread.start()
                self._connections.append((thread, client))

    def close(self) -> None:
        """No new connections, and the end of those that are left."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread, client in self._connections:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def balancing(*backends: Address) -> Iterator[Balancer]:
    """A balancer at work."""
    balancer = Balancer(*backends)
    thread = threading.Thread(target=balancer.accept)
    thread.start()
    try:
        yield balancer
    finally:
        balancer.close()
        thread.join()


def pass_on(client: socket.socket, backend: socket.socket) -> None:
    """Both directions, until both have ended."""
    with client, backend:
        back = threading.Thread(target=_copy, args=(backend, client))
        back.start()
        _copy(client, backend)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """One direction of a connection; its end is passed on."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
