"""What is measured of a release before the gate, and what a promotion changes: card, README and pointer.

The gate itself is `training.promotion`; the registry is told by the caller.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.artifact import CARD_FILE, ONNX_FILE, TORCH_FILE, Artifact, load_artifact, mismatches, read_card
from inference.classifier import load_classifier, onnx_runner
from inference.errors import ConfigurationError, ModelInvalid
from inference.features import FEATURE_NAMES
from inference.pointer import Step, activate
from inference.prediction import ModelStatus
from inference.prepare import MODEL_SAMPLES, ModelInput
from inference.recording import LEADS
from training.card import write_card
from training.promotion import Evidence, Verdict, evidence_of, waiver_json

PARITY_INPUTS = 16
PASSES, WARM_UP_PASSES = 300, 20  # the 99th percentile of 300 rests on the slowest three
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Named:
    """A release by its name and version."""

    name: str
    version: str


def gather(folder: Path, fairness: Mapping[str, Any] | None = None) -> Evidence:
    """Measure a release. fairness: a `FairnessReport` as JSON; the one in the card if None.

    Raises ModelInvalid for a card that breaks its schema or a model that this code cannot serve.
    """
    card = read_card(folder)
    reasons = "; ".join(mismatches(card))
    if reasons:
        raise ModelInvalid(f"{folder / CARD_FILE}: {reasons}", element=str(folder / CARD_FILE))
    broken = broken_files(Artifact(folder, card))
    sound = not broken
    return Evidence(
        **evidence_of(card, fairness if fairness is not None else card.get("fairness")),
        broken_files=len(broken),
        parity=largest_difference(folder) if sound and TORCH_FILE in card["files"] else None,
        forward_p99_ms=forward_p99_ms(folder) if sound else None,
        megabytes=sum(path.stat().st_size for path in folder.iterdir()) / MEGABYTE,
    )


def broken_files(artifact: Artifact) -> tuple[str, ...]:
    """The files that are missing or not as the card says."""
    return tuple(file for file in artifact.card["files"] if not _holds(artifact, file))


def largest_difference(folder: Path) -> float:
    """Of a probability between ONNX in fp32 and torch, over made-up inputs, half of them without any feature. The
    release's own check, on real recordings, is the card's `network.parity`. Raises ModelInvalid, ModelUnavailable."""
    from inference.network import torch_runner

    signal, features = _made_up(PARITY_INPUTS)
    features[::2] = np.nan
    by_onnx = onnx_runner(folder / ONNX_FILE)(signal, features)
    try:
        by_torch = torch_runner(folder / TORCH_FILE)(signal, features)
    except RuntimeError as error:  # what torch raises for weights of another network
        raise ModelInvalid(f"{folder / TORCH_FILE}: {error}", element=str(folder / TORCH_FILE)) from error
    return float(np.abs(by_onnx - by_torch).max())


def forward_p99_ms(folder: Path, passes: int = PASSES) -> float:
    """99th percentile of the time for one recording of one window, by the graph that serves on this machine."""
    classifier = load_classifier(folder, backend="onnx")
    signal, features = _made_up(1)
    window = [ModelInput(signal[0], features[0])]
    taken = []
    for _ in range(WARM_UP_PASSES + passes):
        started = perf_counter()
        classifier(window)
        taken.append(perf_counter() - started)
    return float(np.percentile(taken[WARM_UP_PASSES:], 99) * 1000)


def apply_verdict(models: Path, release: Named, verdict: Verdict, *, by: str, reason: str, at: datetime) -> Path:
    """Make a release that passed the champion: its card says so, and why. Gives its folder; `point_to` serves it.

    Raises ConfigurationError for a verdict that does not promote.
    """
    if not verdict.promoted:
        raise ConfigurationError("; ".join(finding.text for finding in verdict.failures))
    folder = models / release.name / release.version
    card = {name: value for name, value in read_card(folder).items() if name != "waiver"}
    waiver = waiver_json(verdict)
    date = at.isoformat(timespec="seconds")
    card |= {
        "status": ModelStatus.CHAMPION.value,
        "promotion": {"date": date, "by": by, "reason": reason, "conditions": verdict.to_json()["conditions"]},
    }
    write_card(folder, card | ({"waiver": waiver} if waiver else {}))
    load_artifact(folder)
    return folder


def point_to(models: Path, release: Named, *, by: str, reason: str, at: datetime) -> None:
    """Serve a promoted release from now on."""
    activate(models, release.name, release.version, by=by, reason=reason, at=at, step=Step.PROMOTE)


def only_candidate(models: Path) -> Named:
    """The one released candidate. Raises ConfigurationError when there is none, or a choice."""
    cards = [read_card(path.parent) for path in sorted(models.glob(f"*/*/{CARD_FILE}"))]
    found = [Named(card["name"], card["version"]) for card in cards if card["status"] == ModelStatus.CANDIDATE]
    if len(found) != 1:
        named = ", ".join(f"{it.name} {it.version}" for it in found) or "none"
        raise ConfigurationError(f"name the model to promote; candidates under {models}: {named}")
    return found[0]


def is_promoted(folder: Path) -> bool:
    """Whether a release there has passed the gate; False where there is none."""
    return (folder / CARD_FILE).is_file() and read_card(folder)["status"] == ModelStatus.CHAMPION


def read_fairness(file: Path) -> dict[str, Any]:
    """A fairness report as JSON. Raises ValueError when it is none."""
    report = json.loads(file.read_text())
    if not isinstance(report, dict) or not {"sex", "age"} <= set(report):
        raise ValueError(f"{file} is no fairness report")
    return report


def _holds(artifact: Artifact, file: str) -> bool:
    try:
        artifact.verified(file)
    except ModelInvalid:
        return False
    return True


def _made_up(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """n inputs as the model takes them: z-scored noise, and features of about that size."""
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((n, len(LEADS), MODEL_SAMPLES), np.float32)
    return signal, rng.standard_normal((n, len(FEATURE_NAMES)), np.float32)
