"""A real HTTP server on loopback that gives out a folder, and fails in the ways that public servers fail."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Behaviour:
    """What the server does, and what it was asked for, in which encodings. drops: for each path, after how many bytes
    of a body the connection is dropped, once for each number. answers: statuses that are given instead, once each."""

    drops: dict[str, list[int]] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    encodings: set[str | None] = field(default_factory=set)
    address: str = ""


@contextmanager
def serve(folder: Path, behaviour: Behaviour) -> Iterator[Behaviour]:
    """Serve a folder while the context lasts; `behaviour.address` is where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path).lstrip("/")
            wanted = self.headers.get("Range")
            behaviour.asked.append((path, wanted))
            behaviour.encodings.add(self.headers.get("Accept-Encoding"))
            if behaviour.answers.get(path):
                self._empty(behaviour.answers[path].pop(0))
            elif not (folder / path).is_file():
                self._empty(404)
            else:
                self._file(path, (folder / path).read_bytes(), wanted if behaviour.ranges else None)

        def _empty(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _file(self, path: str, content: bytes, wanted: str | None) -> None:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            if start >= len(content) > 0:
                self._empty(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            body = content[start:]
            if behaviour.drops.get(path):
                self.wfile.write(body[: behaviour.drops[path].pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for what is still being answered
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behaviour.address = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield behaviour
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
