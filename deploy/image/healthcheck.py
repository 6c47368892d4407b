"""The image's health check: exit code 0 while `GET /ready` answers 200, else 1 with what it says.

Plain sockets, because a probe comes every few seconds and an HTTP library takes a tenth of one to import.
"""

import os
import socket
import sys

SECONDS = 4.0  # below the time-out of HEALTHCHECK
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a service that listens everywhere also listens here


def main() -> int:
    """Ask the service of this container, where its settings say that it listens."""
    host = os.environ.get("ECG_HOST") or "127.0.0.1"
    port = int(os.environ.get("ECG_HTTP_PORT") or 8000)
    try:
        answer = _get(ANY.get(host, host), port, "/ready")
    except OSError as error:
        sys.stderr.write(f"{host}:{port}: {error}\n")
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    sys.stdout.write(body.decode(errors="replace") + "\n")
    return 0 if head.split(b" ")[1:2] == [b"200"] else 1


def _get(host: str, port: int, path: str) -> bytes:
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


if __name__ == "__main__":
    sys.exit(main())
