"""The reference of a release: the ECGs that live traffic is compared with, as columns; no signal and no patient.

Made from the folds that a release was made from, each recording analysed as the service does it, as if just recorded:

- signal, quality and demographics are those of the training fold, which is what the model knows;
- outputs and agreement are those of the validation fold, because of what it learned a model says more than it knows.

A hospital's ECGs are not those of a public data set. So a service can make a reference of its own live traffic
(`of_traffic`) once somebody has judged that traffic to be sound.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from uuid6 import uuid7

from actions.analysis import Analysis, Door, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from actions.serialize import to_json
from inference.artifact import find_model, load_artifact, read_card
from inference.classifier import load_classifier
from inference.errors import ModelInvalid
from inference.features import FEATURES_VERSION
from inference.labels import Superclass
from inference.precision import Precision
from inference.prediction import ModelInfo
from training.card import write_card
from training.datasets.entry import Entry
from training.datasets.preparing import Progress
from training.just_recorded import just_recorded
from training.monitoring.columns import COLUMNS, YES, Sample, sample_of
from training.monitoring.concept import Agreement
from training.monitoring.observed import AnalysisSeen
from training.monitoring.traffic import is_traffic

REFERENCE_FILE = "reference.parquet"
MEMBER = "sample"  # the column that says which sample a row belongs to
INPUTS, OUTPUTS = "inputs", "outputs"
METADATA = "ecg-reference"
ABOUT = ("name", "version", "sha256", "source", "features_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """name, version, sha256: of the model whose outputs these are. source: what the ECGs are, in words. inputs: of
    which everything but outputs is compared. outputs: of which outputs are. agreement: on `outputs`; empty where none
    was over-read."""

    name: str
    version: str
    sha256: str
    source: str
    features_version: str
    created: datetime
    inputs: Sample = field(repr=False)
    outputs: Sample = field(repr=False)
    agreement: Agreement = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """An Analysis as the store would give it."""

    door: str
    analyzed_at: datetime
    age: float | None
    sex: str
    urgency: str
    interpretable: bool
    mode: str
    model_name: str | None
    model_version: str | None
    probabilities: Mapping[str, float] | None
    detail: bytes
    features: bytes | None
    sender: str | None = None


def reference_of(
    folder: Path,
    training: Sequence[Entry],
    validation: Sequence[Entry],
    *,
    now: datetime,
    on_read: Progress | None = None,
) -> Reference:
    """The reference of the release in `folder`, as its fp32 graph answers under the shipped rules.

    Raises ModelInvalid, ModelUnavailable, ValueError without recordings, and what reading raises; a recording that the
    service would refuse is left out.
    """
    if not training or not validation:
        raise ValueError("no recordings to make a reference of")
    classifier = load_classifier(folder, precision=Precision.FP32)
    analyze = Analyze(classify=classifier, policy=load_policy(), clock=lambda: now, ids=uuid7)
    made: list[tuple[Entry, Analysed]] = []
    for done, entry in enumerate((*training, *validation), start=1):
        analysed = _analysed(analyze, entry, now)
        if analysed is not None:
            made.append((entry, analysed))
        if on_read is not None:
            on_read(done, len(training) + len(validation))
    shown = {entry.recording_id for entry in validation}
    judged = [(entry, row) for entry, row in made if entry.recording_id in shown]
    first = training[0]
    info = load_artifact(folder).info()
    return Reference(
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        source=f"{first.dataset}: inputs of the {first.split} split, outputs of the {validation[0].split} split",
        features_version=FEATURES_VERSION,
        created=now,
        inputs=sample_of(row for entry, row in made if entry.recording_id not in shown),
        outputs=sample_of(row for _, row in judged),
        agreement={c.value: _agreement(c, judged) for c in Superclass},
    )


def of_traffic(rows: Sequence[AnalysisSeen], model: ModelInfo, *, least: int, now: datetime) -> Reference:
    """A reference of analyses of a store, oldest first, without silent ones, archives and those of other models. Raises
    ValueError where fewer than `least` are left."""
    live = [
        row for row in rows if is_traffic(row) and (row.model_name, row.model_version) == (model.name, model.version)
    ]
    if len(live) < least:
        raise ValueError(f"only {len(live)} live ECGs of {model.name} {model.version} are there, {least} are needed")
    sample = sample_of(live)
    return Reference(
        name=model.name,
        version=model.version,
        sha256=model.sha256,
        source=f"live traffic of {live[0].analyzed_at:%Y-%m-%d} to {live[-1].analyzed_at:%Y-%m-%d}",
        features_version=FEATURES_VERSION,
        created=now,
        inputs=sample,
        outputs=sample,
    )


def write_reference(reference: Reference, file: Path) -> Path:
    """As one Parquet file. Gives the file."""
    import pyarrow as pa
    from pyarrow import parquet

    parts = ((INPUTS, reference.inputs), (OUTPUTS, reference.outputs))
    columns: dict[str, Any] = {MEMBER: pa.array([name for name, part in parts for _ in range(len(part))])}
    for column in COLUMNS:
        values = np.concatenate([part.columns[column.name] for _, part in parts])
        columns[column.name] = pa.array(values, pa.float32() if column.numeric else pa.string(), from_pandas=True)
    about = {field: getattr(reference, field) for field in ABOUT}
    about |= {"created": reference.created.isoformat(), "agreement": dict(reference.agreement)}
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about)})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, compression="zstd")
    return file


def read_reference(file: Path) -> Reference:
    """What `write_reference` wrote. Raises ModelInvalid for anything else."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
        about = json.loads(table.schema.metadata[METADATA.encode()])
        member = table[MEMBER].to_numpy()
        columns = {column.name: _values(table[column.name], column.numeric) for column in COLUMNS}
        whole = Sample(columns)
        return Reference(
            **{field: about[field] for field in ABOUT},
            created=datetime.fromisoformat(about["created"]),
            inputs=whole.where(member == INPUTS),
            outputs=whole.where(member == OUTPUTS),
            agreement={name: (right, of) for name, (right, of) in about["agreement"].items()},
        )
    except FileNotFoundError:
        text = f"{file} is not there; `ecg-interop monitor reference` makes one of live traffic"
        raise ModelInvalid(text, element=str(file)) from None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ModelInvalid(f"{file} is no reference: {error}", element=str(file)) from error


def release_reference(reference: Reference, folder: Path) -> Path:
    """Write it beside its model, and its checksum into the card. Raises ModelInvalid for one of another model."""
    card = read_card(folder)
    if (card["name"], card["version"]) != (reference.name, reference.version):
        raise ModelInvalid(f"a reference of {reference.name} {reference.version} is none of {folder}")
    file = write_reference(reference, folder / REFERENCE_FILE)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    write_card(folder, card | {"files": card["files"] | {REFERENCE_FILE: digest}})
    return file


def released_reference(folder: Path) -> Reference:
    """The one beside a released model, as its card names it. Raises ModelInvalid where there is none or another."""
    artifact = load_artifact(folder)
    if REFERENCE_FILE not in artifact.card["files"]:
        raise ModelInvalid(f"{folder} was released without {REFERENCE_FILE}", element=str(folder / REFERENCE_FILE))
    return read_reference(artifact.verified(REFERENCE_FILE))


def served_reference(file: Path | None, model: Path | None) -> Reference:
    """What a service compares with: the file that is named (`ECG_MONITORING_REFERENCE`), else the one beside the model
    that serves (`ECG_MODEL`). Raises ModelInvalid."""
    return read_reference(file) if file is not None else released_reference(find_model(model))


def _analysed(analyze: Analyze, entry: Entry, now: datetime) -> Analysed | None:
    context = RequestContext(door=Door.CLI, received_at=now, correlation_id=entry.recording_id)
    recording = just_recorded(entry, now)
    return None if recording is None else as_seen(analyze(recording, context))


def as_seen(analysis: Analysis) -> Analysed:
    """An Analysis as the store would give it."""
    prediction = analysis.prediction
    return Analysed(
        door=analysis.door.value,
        analyzed_at=analysis.analyzed_at,
        age=analysis.age,
        sex=analysis.sex.value,
        urgency=analysis.urgency.value,
        interpretable=analysis.interpretable,
        mode=analysis.mode.value,
        model_name=prediction.model.name if prediction else None,
        model_version=prediction.model.version if prediction else None,
        probabilities={c.value: p for c, p in prediction.probabilities.items()} if prediction else None,
        detail=to_json(analysis),
        features=None if analysis.features is None else analysis.features.astype("<f4").tobytes(),
    )


def _agreement(superclass: Superclass, rows: Sequence[tuple[Entry, Analysed]]) -> tuple[int, int]:
    """Right decisions, of those whose label is known."""
    decided = sample_of(row for _, row in rows).columns[f"decided {superclass.value}"]
    known = [
        (entry.labels[superclass], word == YES)
        for (entry, _), word in zip(rows, decided, strict=True)
        if superclass in entry.labels and word is not None
    ]
    return sum(label == found for label, found in known), len(known)


def _values(column: Any, numeric: bool) -> Any:
    if numeric:
        return column.to_numpy().astype(np.float64)
    return np.array(column.to_pylist(), dtype=object)
