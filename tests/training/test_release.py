import json
from pathlib import Path

import pytest

from inference.artifact import Artifact, read_card
from inference.errors import ConfigurationError, ModelInvalid
from inference.pointer import read_pointer
from tests.fakes import NOW
from tests.releases import change_card, release
from training.promotion import Evidence, Verdict, judge
from training.release import (
    Named,
    apply_verdict,
    broken_files,
    forward_p99_ms,
    gather,
    only_candidate,
    point_to,
    read_fairness,
)

GOOD = Evidence(
    macro_auc=0.93, parity_by_sex=0.9, parity_by_age=0.9, broken_files=0, parity=0.0, forward_p99_ms=3.0, megabytes=80.0
)
INTERVAL = {"value": 0.85, "low": 0.8, "high": 0.9}
FAIRNESS = {"sex": {"parity_ratio": INTERVAL}, "age": {"predicted_to_true_ratio": INTERVAL}}
FIRST = Named("fixed", "1.0.0")


def apply(models: Path, verdict: Verdict) -> Path:
    return apply_verdict(models, FIRST, verdict, by="Ada", reason="first", at=NOW)


def test_what_is_measured_of_a_release_is_what_lies_there(tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0", status="candidate")
    found = gather(folder, FAIRNESS)
    assert (found.macro_auc, found.parity_by_sex, found.parity_by_age) == (0.93, 0.85, 0.85)
    assert found.broken_files == 0
    assert found.parity is None, "released without torch weights: nothing to compare with"
    assert found.megabytes == sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    assert found.forward_p99_ms is not None
    assert 0 < found.forward_p99_ms < 1000


def test_changed_or_missing_weights_are_counted_and_never_run(tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0")
    (folder / "model.onnx").write_bytes(b"another")
    found = gather(folder)
    assert (found.broken_files, found.parity, found.forward_p99_ms) == (1, None, None)
    (folder / "model.onnx").unlink()
    assert broken_files(Artifact(folder, read_card(folder))) == ("model.onnx",)


def test_a_model_for_other_features_is_not_judged(tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0")
    change_card(folder, features={"version": "0", "names": []})
    with pytest.raises(ModelInvalid, match="trained with features 0"):
        gather(folder)


def test_a_model_that_passed_is_the_champion_once_it_is_pointed_to(tmp_path: Path) -> None:
    release(tmp_path, "1.0.0", status="candidate")
    folder = apply(tmp_path, judge(GOOD))
    card = read_card(folder)
    assert (card["status"], card["promotion"]["by"], len(card["promotion"]["conditions"])) == ("champion", "Ada", 7)
    assert read_pointer(tmp_path).path is None
    point_to(tmp_path, FIRST, by="Ada", reason="first", at=NOW)
    assert read_pointer(tmp_path).path == "fixed/1.0.0"


def test_a_model_that_did_not_pass_stays_as_it_is(tmp_path: Path) -> None:
    folder = release(tmp_path, "1.0.0", status="candidate")
    before = (folder / "card.json").read_bytes()
    with pytest.raises(ConfigurationError, match="not assessed"):
        apply(tmp_path, judge(gather(folder)))
    assert (folder / "card.json").read_bytes() == before


def test_an_old_waiver_is_gone_once_the_model_passes_without_it(tmp_path: Path) -> None:
    waiver = {"waives": ["fairness"], "by": "Ada", "reason": "pilot", "date": "2026-01-01T00:00:00+00:00"}
    release(tmp_path, "1.0.0", waiver=waiver | {"says": "fairness not assessed"})
    assert "waiver" not in read_card(apply(tmp_path, judge(GOOD)))


def test_the_only_candidate_is_found_and_a_choice_is_left_to_the_caller(tmp_path: Path) -> None:
    release(tmp_path, "1.0.0")
    with pytest.raises(ConfigurationError, match="none"):
        only_candidate(tmp_path)
    release(tmp_path, "1.1.0", status="candidate")
    assert only_candidate(tmp_path) == Named("fixed", "1.1.0")
    release(tmp_path, "1.2.0", status="candidate")
    with pytest.raises(ConfigurationError, match=r"fixed 1\.1\.0, fixed 1\.2\.0"):
        only_candidate(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", "no json", '{"sex": {}}'])
def test_what_is_no_fairness_report_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ValueError, match=r"report|Expecting"):
        read_fairness(tmp_path / "report.json")


def test_the_forward_pass_is_timed_on_the_graph_that_serves(tmp_path: Path) -> None:
    assert forward_p99_ms(release(tmp_path, "1.0.0"), passes=5) > 0
    assert json.loads((tmp_path / "fixed/1.0.0/card.json").read_text())["version"] == "1.0.0"
