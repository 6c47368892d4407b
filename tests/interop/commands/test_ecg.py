import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import orjson
import pytest
from pydicom.data import get_testdata_file

from inference.formats import read
from inference.labels import Superclass
from inference.recording import LEADS
from interop.files import read_file
from interop.hl7.message import parse
from interop.settings import Settings
from tests.inference.formats.exchange_files import WRITERS
from tests.interop.commands.conftest import Command, Outcome
from tests.interop.mllp.receiver import Receiver, Script, always

SETTINGS = Settings(_env_file=None)


def _is_one_clear_line(outcome: Outcome) -> bool:
    return outcome.err.count("\n") == 1 and len(outcome.err) > 10 and "Traceback" not in outcome.err


@pytest.fixture(scope="module")
def folder(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real recording in every format that is written here from counts."""
    folder = tmp_path_factory.mktemp("ecg")
    counts = np.rint(read(examples / "00184_hr.hea").signal * 400).astype(np.int16)
    for name, write in WRITERS.values():
        (folder / name).write_bytes(write(counts))
    lines = [
        "# unit: mV",
        "# sampling_rate: 500",
        ",".join(LEADS),
        *(",".join(map(str, row)) for row in counts.T / 400),
    ]
    (folder / "ecg.csv").write_text("\n".join(lines))
    return folder


def test_every_format_gives_the_same_diagnoses(command: Command, examples: Path, folder: Path) -> None:
    for form in ("fhir", "hl7"):
        suffix = "json" if form == "fhir" else "hl7"
        assert (
            command("convert", examples / "00184_hr.hea", "--to", form, "-o", folder / f"ecg.{suffix}").exit_code == 0
        )
    files = [examples / "00184_hr.hea", *sorted(folder.iterdir())]
    assert len(files) == 9
    outcome = command("predict", *files, "--json")
    assert (outcome.exit_code, outcome.err) == (0, "")
    results = orjson.loads(outcome.out)
    assert [result["file"] for result in results] == [str(file) for file in files]
    for result in results:
        assert {diagnosis["code"] for diagnosis in result["diagnoses"]} == {"MI", "CD"}, result["file"]
        assert set(result["probabilities"]) == {superclass.value for superclass in Superclass}


def test_the_result_is_readable_without_json(command: Command, examples: Path) -> None:
    outcome = command("predict", examples / "00184_hr.hea", "--sex", "male", "--age", "74", "--recorded-at", "now")
    assert outcome.exit_code == 0
    assert "Myocardial infarction" in outcome.out.decode()
    assert "undated" not in outcome.out.decode()


def test_a_bad_file_is_named_and_does_not_stop_the_others(command: Command, examples: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"no DICOM")
    outcome = command("predict", bad, examples / "00010_hr.hea", "--json")
    assert outcome.exit_code == 2
    assert _is_one_clear_line(outcome)
    assert str(bad) in outcome.err
    refused, analysed = orjson.loads(outcome.out)
    assert refused["error"]["code"] == "media-type-unsupported"
    assert analysed["diagnoses"]


def test_a_recording_that_nobody_could_read_gives_exit_code_1(command: Command, tmp_path: Path) -> None:
    flat = tmp_path / "flat.csv"
    flat.write_text("# unit: mV\n# sampling_rate: 500\n" + ",".join(LEADS) + "\n" + (",".join("0" * 12) + "\n") * 5000)
    outcome = command("predict", flat, "--json")
    assert outcome.exit_code == 1
    assert orjson.loads(outcome.out)[0]["error"]["code"] == "signal-uninterpretable"
    readable = command("predict", flat)
    assert readable.exit_code == 1
    assert b"flat.csv" in readable.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("convert", "none.hea", "--to", "fhir"), "none.hea"),
        (("convert", "none.json", "--to", "fhir"), "none.json"),
        (("convert", "ecg.pdf", "--to", "fhir"), "no reader for this suffix"),
        (("convert", "@", "--to", "wfdb"), "--output"),
        (("convert", "@", "--to", "wfdb", "-o", "/tmp/Jane Doe.hea"), "letters"),
        (("convert", "@", "--to", "fhir", "--unit", "mV"), "unit"),
        (("convert", "@", "--to", "fhir", "--recorded-at", "2026-03-02T08:00:00"), "offset"),
        (("convert", "@", "--to", "fhir", "--recorded-at", "yesterday"), "ISO 8601"),
        (("convert", "@", "--to", "fhir", "--age", "300"), "--age"),
        (("send", "@"), "--fhir or --mllp"),
        (("send", "@", "--fhir", "http://127.0.0.1:1/fhir", "--mllp", "127.0.0.1:1"), "--fhir or --mllp"),
        (("send", "@", "--mllp", "somewhere"), "HOST:PORT"),
    ],
)
def test_wrong_input_is_one_clear_line_and_exit_code_2(
    command: Command, examples: Path, arguments: tuple[str, ...], expected: str
) -> None:
    example = str(examples / "00010_hr.hea")
    outcome = command(*(example if argument == "@" else argument for argument in arguments))
    assert outcome.exit_code == 2
    assert _is_one_clear_line(outcome)
    assert expected in outcome.err
    assert outcome.out == b""


@pytest.mark.parametrize(
    "arguments", [("predict",), ("convert", "x.hea"), ("convert", "x.hea", "--to", "pdf"), ("send", "--nothing")]
)
def test_wrong_usage_is_one_clear_line_and_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)
    assert outcome.exit_code == 2
    assert _is_one_clear_line(outcome)


@pytest.mark.parametrize("service", [("--fhir", "http://127.0.0.1:1/fhir"), ("--mllp", "127.0.0.1:1")])
def test_a_service_that_is_not_there_gives_exit_code_1(
    command: Command, examples: Path, service: tuple[str, str]
) -> None:
    outcome = command("send", examples / "00010_hr.hea", *service)
    assert outcome.exit_code == 1
    assert _is_one_clear_line(outcome)


def test_a_folder_that_cannot_be_written_to_gives_exit_code_1(command: Command, examples: Path, tmp_path: Path) -> None:
    outcome = command("convert", examples / "00010_hr.hea", "--to", "hl7", "-o", tmp_path / "none" / "ecg.hl7")
    assert outcome.exit_code == 1
    assert _is_one_clear_line(outcome)


@pytest.mark.parametrize("source", ["ecg.csv", *(name for name, _ in WRITERS.values())])
@pytest.mark.parametrize("target", [("fhir", "ecg.json"), ("hl7", "ecg.hl7"), ("wfdb", "ecg.hea")])
def test_every_format_converts_to_every_target(
    command: Command, folder: Path, tmp_path: Path, source: str, target: tuple[str, str]
) -> None:
    to, name = target
    outcome = command("convert", folder / source, "--to", to, "--output", tmp_path / name)
    assert (outcome.exit_code, outcome.out, outcome.err) == (0, b"", "")
    original, converted = read(folder / source), read_file(tmp_path / name, SETTINGS)
    np.testing.assert_allclose(converted.signal, original.signal, atol=0.5 * 0.0025)
    assert (converted.sex, converted.recorded_at) == (original.sex, original.recorded_at)


def test_without_output_the_message_goes_to_standard_output_byte_for_byte(command: Command, examples: Path) -> None:
    message = command("convert", examples / "00010_hr.hea", "--to", "hl7", "--patient-id", "4711")
    assert b"4711" in message.out.split(b"\r")[1]
    assert parse(message.out).header.code == "ORU"
    observation = command("convert", examples / "00010_hr.hea", "--to", "fhir", "--patient-id", "4711", "--sex", "male")
    assert orjson.loads(observation.out)["contained"][0]["gender"] == "male"


@dataclass
class _FhirServer:
    """Answers every POST with `status`; received: (path, body)."""

    status: int
    received: list[tuple[str, bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def _fhir_server(status: int) -> Iterator[_FhirServer]:
    state = _FhirServer(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(state.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "exit_code"), [(201, 0), (422, 1), (503, 1)])
def test_send_posts_an_observation_and_tells_whether_it_was_accepted(
    command: Command, status: int, exit_code: int
) -> None:
    file = get_testdata_file("waveform_ecg.dcm")
    with _fhir_server(status) as server:
        outcome = command("send", file, "--fhir", server.url, "--patient-id", "4711")
    assert outcome.exit_code == exit_code
    assert str(status).encode() in outcome.out
    ((path, body),) = server.received
    assert path == "/fhir/Observation"
    assert orjson.loads(body)["subject"]["identifier"]["value"] == "4711"


@contextmanager
def _mllp_receiver(script: Script) -> Iterator[Receiver]:
    receiver = Receiver(script)
    ready, done = threading.Event(), threading.Event()

    async def listen() -> None:
        async with receiver.listening():
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(listen(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield receiver
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(("code", "exit_code"), [("AA", 0), ("AE", 1), ("AR", 1)])
def test_send_by_mllp_tells_whether_the_message_was_accepted(
    command: Command, folder: Path, code: str, exit_code: int
) -> None:
    with _mllp_receiver(always(code)) as receiver:
        outcome = command("send", folder / "ecg.scp", "--mllp", f"127.0.0.1:{receiver.port}")
    assert outcome.exit_code == exit_code
    assert f"MSA|{code}|{receiver.received[0]}".encode() in outcome.out
