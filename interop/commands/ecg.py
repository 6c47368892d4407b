"""`predict`, `convert` and `send`: one recording from a file."""

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import typer
from orjson import loads
from rich.table import Table

from actions.analysis import Analysis, Door, Mode, RequestContext
from inference.errors import EcgError, Fault, InvalidContent
from inference.labels import SUPERCLASS_NAMES
from inference.recording import MAX_AGE, Recording, Sex
from interop.commands.console import FAILED, WRONG_USAGE, err, explain, out, print_json, print_table
from interop.files import read_file, write_wfdb
from interop.refusal import uninterpretable
from interop.settings import Settings

FORMATS = "WFDB, CSV, DICOM, SCP-ECG, aECG, MUSE or Philips XML, FHIR Observation (.json), HL7 v2 (.hl7)"
File = Annotated[Path, typer.Argument(help=FORMATS)]
Age = Annotated[float | None, typer.Option(help="age in years; default: what the file says")]
SexOption = Annotated[Sex | None, typer.Option(help="default: what the file says")]
RecordedAt = Annotated[str | None, typer.Option(help="ISO 8601 with offset, or `now`; default: what the file says")]
PatientId = Annotated[str, typer.Option(help="identifier of the patient")]
Unit = Annotated[str | None, typer.Option(help="unit of a CSV file that does not name it: mV, uV, V")]
SamplingRate = Annotated[float | None, typer.Option(help="sampling rate of a CSV file that does not name it, Hz")]


class Target(StrEnum):
    """What `convert` writes."""

    FHIR = "fhir"
    HL7 = "hl7"
    HOOK = "hook"
    WFDB = "wfdb"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (predict, convert, send):
        app.command()(command)


def predict(
    files: Annotated[list[Path], typer.Argument(help=FORMATS)],
    age: Age = None,
    sex: SexOption = None,
    recorded_at: RecordedAt = None,
    unit: Unit = None,
    sampling_rate: SamplingRate = None,
    json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Analyse recordings and print the result; nothing is stored.

    A file that cannot be read stops none of the others. Exit code 2 if there was one, else 1 if a recording could not
    be interpreted.
    """
    from interop.bootstrap import load_analyzer, new_id, now

    settings = Settings()
    analyzer, _ = load_analyzer(settings)
    results: list[tuple[Path, Analysis | EcgError]] = []
    for file in files:
        try:
            recording = _read(file, settings, age, sex, recorded_at, unit, sampling_rate)
            results.append((file, analyzer(recording, _context(now(), new_id()))))
        except EcgError as error:
            if error.fault is not Fault.SENDER:
                raise
            results.append((file, error))
    if json:
        print_json([{"file": str(file)} | _as_json(result) for file, result in results])
    for file, result in results:
        if isinstance(result, EcgError):
            explain(result, place=str(file))
        elif not json:
            _show(file, result)
    if any(isinstance(result, EcgError) for _, result in results):
        raise typer.Exit(WRONG_USAGE)
    if not all(isinstance(result, Analysis) and result.interpretable for _, result in results):
        raise typer.Exit(FAILED)


def convert(
    file: File,
    to: Annotated[
        Target,
        typer.Option(
            help="fhir: Observation JSON; hl7: ORU^R01; hook: CDS Hooks call with the ECG; wfdb: .hea and .dat"
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where to; default: standard output. wfdb: the .hea file")
    ] = None,
    patient_id: PatientId = "UNKNOWN",
    age: Age = None,
    sex: SexOption = None,
    recorded_at: RecordedAt = None,
    unit: Unit = None,
    sampling_rate: SamplingRate = None,
) -> None:
    """Write a recording as a FHIR Observation, an HL7 v2 message, a CDS Hooks call or a WFDB record."""
    settings = Settings()
    if to is Target.WFDB and output is None:
        raise InvalidContent("--to wfdb needs --output: a record is two files")
    recording = _read(file, settings, age, sex, recorded_at, unit, sampling_rate)
    if to is Target.WFDB and output is not None:
        write_wfdb(recording, output, ZoneInfo(settings.time_zone))
        return
    content = WRITERS[to](recording, patient_id)
    if output is not None:
        output.write_bytes(content)
    else:
        typer.get_binary_stream("stdout").write(content)


def send(
    file: File,
    fhir: Annotated[str | None, typer.Option(help="FHIR base URL, such as http://127.0.0.1:8000/fhir")] = None,
    mllp: Annotated[str | None, typer.Option(help="HOST:PORT")] = None,
    patient_id: PatientId = "UNKNOWN",
    age: Age = None,
    sex: SexOption = None,
    recorded_at: RecordedAt = None,
    unit: Unit = None,
    sampling_rate: SamplingRate = None,
) -> None:
    """Send a recording to a FHIR server or an MLLP listener and print the answer. Exit code 1 unless accepted."""
    from interop import client

    if (fhir is None) == (mllp is None):
        raise InvalidContent("give either --fhir or --mllp")
    recording = _read(file, Settings(), age, sex, recorded_at, unit, sampling_rate)
    if fhir:
        answer = client.post_observation(fhir, _observation(recording, patient_id))
    else:
        answer = client.send_message(mllp or "", _message(recording, patient_id))
    out.print(answer.text, markup=False)
    if not answer.accepted:
        err.print("not accepted")
        raise typer.Exit(FAILED)


def _read(
    file: Path,
    settings: Settings,
    age: float | None,
    sex: Sex | None,
    recorded_at: str | None,
    unit: str | None,
    sampling_rate: float | None,
) -> Recording:
    """The recording in a file, with what the caller knows better."""
    if age is not None and not 0 <= age <= MAX_AGE:
        raise InvalidContent(f"--age {age:g}: 0 to {MAX_AGE:g} years are accepted")
    recording = read_file(file, settings, unit=unit, sampling_rate=sampling_rate)
    return replace(
        recording,
        age=recording.age if age is None else age,
        sex=sex or recording.sex,
        recorded_at=_time(recorded_at) if recorded_at else recording.recorded_at,
    )


def _context(at: datetime, id: UUID) -> RequestContext:
    return RequestContext(door=Door.CLI, received_at=at, correlation_id=str(id), sender=None, mode=Mode.LIVE)


def _time(text: str) -> datetime:
    if text == "now":
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidContent(f"--recorded-at {text}: no ISO 8601 time") from error
    if time.tzinfo is None:
        raise InvalidContent(f"--recorded-at {text}: the offset is missing, such as +01:00 or Z")
    return time


def _message(recording: Recording, patient_id: str) -> bytes:
    from interop.hl7.waveform import to_oru

    return to_oru(recording, control_id=uuid4().hex[-20:], sent_at=datetime.now(UTC), patient_id=patient_id)


def _observation(recording: Recording, patient_id: str) -> bytes:
    from interop.client import observation_to_send

    return observation_to_send(recording, patient_id)


def _hook(recording: Recording, patient_id: str) -> bytes:
    from interop.client import hook_call

    return hook_call(recording, patient_id)


WRITERS = {Target.FHIR: _observation, Target.HL7: _message, Target.HOOK: _hook}


def _as_json(result: Analysis | EcgError) -> dict[str, Any]:
    """The answer of `/predict`, or what was wrong with the file."""
    from interop.predict.schema import answer

    if isinstance(result, Analysis) and result.interpretable:
        answered: dict[str, Any] = loads(answer(result, sum(result.timings.values()) * 1000))
        return answered
    error = result if isinstance(result, EcgError) else uninterpretable(result, "signal")
    return {"error": {"code": error.code, "message": error.message, "element": error.element}}


def _show(file: Path, analysis: Analysis) -> None:
    out.print(f"[bold]{file}[/bold]: {analysis.conclusion}")
    if analysis.prediction:
        probabilities = Table("group", "probability", "decided", box=None, padding=(0, 2, 0, 0))
        for superclass, probability in analysis.prediction.probabilities.items():
            decided = "yes" if superclass in analysis.prediction.decided else ""
            probabilities.add_row(SUPERCLASS_NAMES[superclass], f"{probability:.2f}", decided)
        print_table(probabilities)
    for recommendation in analysis.recommendations:
        out.print(f"  {recommendation.urgency.upper():<9} {recommendation.action} ({recommendation.confidence:.2f})")
    for warning in analysis.warnings:
        out.print(f"  note: {warning}", markup=False)
