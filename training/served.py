"""What a model would have answered to recordings whose truth is known, as the service would have served it."""

from collections.abc import Mapping, Sequence

from actions.rules import Policy
from inference.labels import Superclass
from training.bootstrap import Mask
from training.datasets.entry import Entry
from training.datasets.prepared import label_rows
from training.datasets.preparing import Progress
from training.fairness import FairnessInput
from training.remedies import Serve
from training.scores import Probabilities
from training.urgency import Circumstances, circumstances, truly_urgent, urgent


def fairness_input(
    entries: Sequence[Entry],
    recording_ids: Sequence[str],
    probabilities: Probabilities,
    thresholds: Mapping[Superclass, float],
    policy: Policy,
    *,
    source: str = "out of fold",
    on_read: Progress | None = None,
) -> tuple[FairnessInput, Serve]:
    """The input of `judge_fairness`, and how other probabilities of the same recordings would be served, for
    `training.remedies`.

    entries: of a data set, of all splits that were predicted. recording_ids, probabilities: (m,) and (m, 5), out of
    fold. Only recordings of known sex and age enter, because each is read and measured again. Raises what reading
    raises, ValueError when no such recording was predicted.
    """
    row_of = {recording_id: row for row, recording_id in enumerate(recording_ids)}
    known = [e for e in entries if e.recording_id in row_of and e.age is not None]
    if not known:
        raise ValueError("no recording of known age was predicted")
    cases = _measured(known, on_read)

    def serve(found: Probabilities) -> Mask:
        return urgent(policy, cases, found, thresholds)

    chosen = probabilities[[row_of[e.recording_id] for e in known]]
    labels = label_rows(known)
    given = FairnessInput(
        probabilities=chosen,
        labels=labels,
        thresholds=thresholds,
        urgent=serve(chosen),
        true_urgent=truly_urgent(policy, cases, labels),
        age=[e.age for e in known],
        sex=[e.sex for e in known],
        patients=[e.patient_id for e in known],
        source=source,
    )
    return given, serve


def _measured(entries: Sequence[Entry], on_read: Progress | None) -> list[Circumstances]:
    found = []
    for entry in entries:
        found.append(circumstances(entry.read()))
        if on_read is not None:
            on_read(len(found), len(entries))
    return found
