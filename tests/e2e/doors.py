"""One item of every kind through the doors of the running service, and what it counts."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import orjson
from prometheus_client.parser import text_string_to_metric_families

from inference.formats import read
from inference.recording import LEADS, Recording, Sex
from interop import client
from interop.hl7.message import read_header
from interop.hl7.waveform import to_oru
from interop.mllp.framing import Frame, Framer, frame
from tests.conftest import ROOT
from tests.e2e.conftest import Service

FHIR_JSON = "application/fhir+json"
SECONDS = 20.0


def ecg(**changes: Any) -> Recording:
    """PTB-XL ecg_id 184 (an old infarct), recorded just now by a man of 74."""
    found = read(ROOT / "examples" / "00184_hr.hea")
    now = datetime.now(UTC).replace(microsecond=0)
    given: dict[str, Any] = {"age": 74.0, "sex": Sex.MALE, "recorded_at": now}
    return replace(found, **(given | changes))


def flat() -> Recording:
    """Nobody could read this."""
    return ecg(signal=np.zeros((12, 5000), np.float32))


def message(recording: Recording | None = None, **given: Any) -> bytes:
    """An ORU^R01 of a patient of its own."""
    options: dict[str, Any] = {
        "control_id": uuid4().hex[:20],
        "patient_id": uuid4().hex[:12],
        "sent_at": datetime.now(UTC),
    }
    return to_oru(recording or ecg(), **(options | given))


def observation(recording: Recording | None = None) -> bytes:
    """An Observation of a patient of its own, with an identifier of its own."""
    return client.observation_to_send(recording or ecg(), uuid4().hex)


def matrix(recording: Recording | None = None, **changed: Any) -> bytes:
    """The body of /predict."""
    found = recording or ecg()
    body = {
        "ecg_signal": found.signal.astype(float).round(4).tolist(),
        "sampling_rate": found.sampling_rate,
        "leads": list(LEADS),
        "recorded_at": found.recorded_at.isoformat() if found.recorded_at else None,
        "patient_age": found.age,
        "patient_sex": found.sex.value,
    }
    return orjson.dumps(body | changed)


def post_observation(service: Service, content: bytes, **headers: str) -> httpx.Response:
    return _post(f"{service.url}/fhir/Observation", content, {"Content-Type": FHIR_JSON} | headers)


def post_matrix(service: Service, content: bytes, **headers: str) -> httpx.Response:
    return _post(f"{service.url}/predict", content, {"Content-Type": "application/json"} | headers)


def _post(url: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(url, content=content, headers=headers, timeout=SECONDS)


def send(address: tuple[str, int], *contents: bytes) -> list[bytes]:
    """Messages on a connection of their own, one after the other; the messages that came back."""
    received = converse(address, b"".join(frame(content) for content in contents))
    return [event.content for event in Framer(1_000_000).feed(received) if isinstance(event, Frame)]


def converse(address: tuple[str, int], data: bytes) -> bytes:
    """Raw bytes on a connection of their own, then the end; all that came back until the other side closed."""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        received = bytearray()
        with suppress(ConnectionError):  # a peer that refuses closes while we are still sending
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
    return bytes(received)


def counted(service: Service, metric: str, /, **labels: str) -> float:
    """The sum of the samples of a metric (of a histogram: of its counts) that carry these labels."""
    text = httpx.get(f"{service.url}/metrics", timeout=SECONDS).text
    wanted = {metric, f"{metric}_count"}
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted and labels.items() <= sample.labels.items()
    )


def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@dataclass
class Receiver:
    """Takes results by MLLP on a port of its own and answers each with `code` and `text`."""

    code: str = "AA"
    text: str = ""
    port: int = 0
    _peers: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        """Until the end of the block; after that the port is closed."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            for each in (listener, *self._peers):
                _shut(each)
            accepting.join(SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                self._peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        framer = Framer(1_000_000)
        with suppress(OSError):
            while data := peer.recv(65536):
                for event in framer.feed(data):
                    assert isinstance(event, Frame)
                    peer.sendall(frame(self._acknowledgement(read_header(event.content).control_id)))

    def _acknowledgement(self, control_id: str) -> bytes:
        msh = "MSH|^~\\&|EHR||ECG||20260302||ACK^R01^ACK|X|P|2.5.1"
        return f"{msh}\rMSA|{self.code}|{control_id}|{self.text}\r".encode()


def _shut(one: socket.socket) -> None:
    """Wake whoever waits on it, then close."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
