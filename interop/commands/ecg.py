"""`predict`, `convert` and `send`: one recording from a file."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from orjson import loads
from rich.table import Table

from actions.analysis import Analysis, Door, Mode, RequestContext
from inference.errors import InvalidContent
from inference.formats import read
from inference.labels import SUPERCLASS_NAMES
from inference.recording import Recording, Sex
from interop.bootstrap import load_analyzer, new_id, now
from interop.commands.console import FAILED, err, out, print_json
from interop.settings import Settings

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="WFDB header (.hea) or CSV")]
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


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (predict, convert, send):
        app.command()(command)


def predict(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="WFDB headers (.hea) or CSV")],
    age: Age = None,
    sex: SexOption = None,
    recorded_at: RecordedAt = None,
    unit: Unit = None,
    sampling_rate: SamplingRate = None,
    json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Analyse recordings and print the result; nothing is stored. Exit code 1 if one could not be interpreted."""
    from interop.predict.schema import answer

    analyzer, _ = load_analyzer(Settings())
    analyses = []
    for file in files:
        recording = _read(file, age, sex, recorded_at, unit, sampling_rate)
        context = RequestContext(
            door=Door.CLI, received_at=now(), correlation_id=str(new_id()), sender=None, mode=Mode.LIVE
        )
        analyses.append(analyzer(recording, context))
    if json:
        results = zip(files, analyses, strict=True)
        print_json(
            [{"file": str(file)} | loads(answer(analysis, _milliseconds(analysis))) for file, analysis in results]
        )
    else:
        for file, analysis in zip(files, analyses, strict=True):
            _show(file, analysis)
    if not all(analysis.interpretable for analysis in analyses):
        raise typer.Exit(FAILED)


def convert(
    file: File,
    to: Annotated[Target, typer.Option(help="fhir: Observation JSON; hl7: ORU^R01")],
    patient_id: PatientId = "UNKNOWN",
    age: Age = None,
    sex: SexOption = None,
    recorded_at: RecordedAt = None,
    unit: Unit = None,
    sampling_rate: SamplingRate = None,
) -> None:
    """Write a recording as a FHIR Observation or an HL7 v2 message to standard output."""
    recording = _read(file, age, sex, recorded_at, unit, sampling_rate)
    content = _message(recording, patient_id) if to is Target.HL7 else _observation(recording, patient_id)
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
        raise typer.BadParameter("give either --fhir or --mllp")
    recording = _read(file, age, sex, recorded_at, unit, sampling_rate)
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
    age: float | None,
    sex: Sex | None,
    recorded_at: str | None,
    unit: str | None,
    sampling_rate: float | None,
) -> Recording:
    options = {"unit": unit, "sampling_rate": sampling_rate}
    recording = read(file, **{name: value for name, value in options.items() if value is not None})
    return replace(
        recording,
        age=recording.age if age is None else age,
        sex=sex or recording.sex,
        recorded_at=_time(recorded_at) if recorded_at else recording.recorded_at,
    )


def _time(text: str) -> datetime:
    if text == "now":
        return now()
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidContent(f"--recorded-at {text}: no ISO 8601 time") from error
    if time.tzinfo is None:
        raise InvalidContent(f"--recorded-at {text}: the offset is missing, such as +01:00 or Z")
    return time


def _message(recording: Recording, patient_id: str) -> bytes:
    from interop.hl7.waveform import to_oru

    return to_oru(recording, control_id=new_id().hex[-20:], sent_at=now(), patient_id=patient_id)


def _observation(recording: Recording, patient_id: str) -> bytes:
    from interop.client import observation_to_send

    return observation_to_send(recording, patient_id)


def _milliseconds(analysis: Analysis) -> float:
    return sum(analysis.timings.values()) * 1000


def _show(file: Path, analysis: Analysis) -> None:
    out.print(f"[bold]{file}[/bold]: {analysis.conclusion}")
    if analysis.prediction:
        probabilities = Table("group", "probability", "decided", box=None, padding=(0, 2, 0, 0))
        for superclass, probability in analysis.prediction.probabilities.items():
            decided = "yes" if superclass in analysis.prediction.decided else ""
            probabilities.add_row(SUPERCLASS_NAMES[superclass], f"{probability:.2f}", decided)
        out.print(probabilities)
    for recommendation in analysis.recommendations:
        out.print(f"  {recommendation.urgency.upper():<9} {recommendation.action} ({recommendation.confidence:.2f})")
    for warning in analysis.warnings:
        out.print(f"  note: {warning}", markup=False)
