import json
import threading
from pathlib import Path

import pytest

from inference.artifact import find_model
from inference.errors import ConfigurationError, ModelInvalid
from inference.pointer import Pointer, Step, activate, read_pointer, roll_back
from tests.fakes import NOW
from tests.releases import point, release


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Three releases, the first of them pointed to, as it was before pointers had a history."""
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        release(tmp_path, version)
    point(tmp_path, "fixed/1.0.0")
    return tmp_path


def to(models: Path, version: str) -> Pointer:
    return activate(models, "fixed", version, by="Ada", reason="better", at=NOW)


def back(models: Path) -> str | None:
    return roll_back(models, by="Bob", reason="worse", at=NOW).path


def test_an_activated_model_is_the_one_that_is_found_and_the_history_says_who_and_why(models: Path) -> None:
    to(models, "1.1.0")
    assert find_model(models) == models / "fixed/1.1.0"
    (change,) = read_pointer(models).history
    assert (change.by, change.reason, change.at) == ("Ada", "better", "2026-03-02T09:30:00+00:00")
    assert (change.step, change.before, change.to) == (Step.ACTIVATE, "fixed/1.0.0", "fixed/1.1.0")


def test_rolling_back_twice_goes_back_two_activations_and_not_forth_again(models: Path) -> None:
    to(models, "1.1.0")
    to(models, "1.2.0")
    assert [back(models), back(models)] == ["fixed/1.1.0", "fixed/1.0.0"]
    with pytest.raises(ConfigurationError, match="no model was active before"):
        back(models)
    assert [change.step for change in read_pointer(models).history][2:] == [Step.ROLLBACK, Step.ROLLBACK]


def test_an_activation_after_a_rollback_goes_back_to_what_was_served_then(models: Path) -> None:
    to(models, "1.1.0")
    back(models)
    to(models, "1.2.0")
    assert back(models) == "fixed/1.0.0"


def test_activating_what_is_active_is_kept_in_the_history_and_not_rolled_back_to(models: Path) -> None:
    to(models, "1.1.0")
    to(models, "1.1.0")
    assert len(read_pointer(models).history) == 2
    assert back(models) == "fixed/1.0.0"


def test_the_first_model_ever_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    release(tmp_path, "1.0.0")
    assert to(tmp_path, "1.0.0").previous is None
    with pytest.raises(ConfigurationError):
        back(tmp_path)


@pytest.mark.parametrize(("name", "version"), [("fixed", "9.9.9"), ("../models", "1.0.0"), ("fixed", ".")])
def test_what_is_no_release_is_not_pointed_to(models: Path, name: str, version: str) -> None:
    with pytest.raises(ModelInvalid, match="no such release"):
        activate(models, name, version, by="Ada", reason="", at=NOW)
    assert read_pointer(models) == Pointer("fixed/1.0.0")


def test_a_release_under_another_name_than_its_card_is_not_pointed_to(models: Path) -> None:
    (models / "fixed/1.2.0").rename(models / "fixed/1.3.0")
    with pytest.raises(ModelInvalid, match=r"calls it fixed 1\.2\.0"):
        to(models, "1.3.0")


@pytest.mark.parametrize(
    "content",
    ["{}", '{"path": "a/1", "history": [{}]}', '{"path": "a/1", "history": 7}',
     '{"path": "a", "history": [{"at": "", "by": "", "step": "rollback", "before": "b", "to": "a", "reason": ""}]}'],
)  # fmt: skip
def test_a_broken_pointer_is_named(models: Path, content: str) -> None:
    (models / "champion.json").write_text(content)
    with pytest.raises(ModelInvalid, match=r"champion\.json"):
        read_pointer(models)


def test_two_activations_at_once_are_both_in_the_history(models: Path) -> None:
    threads = [threading.Thread(target=to, args=(models, version)) for version in ("1.1.0", "1.2.0") * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = read_pointer(models)
    assert len(pointer.history) == 10
    assert [change.before for change in pointer.history[1:]] == [change.to for change in pointer.history[:-1]]


def test_a_reader_never_meets_half_a_pointer(models: Path) -> None:
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(json.loads((models / "champion.json").read_bytes())["path"])

    reader = threading.Thread(target=read)
    reader.start()
    for version in ("1.1.0", "1.2.0") * 20:
        to(models, version)
    done.set()
    reader.join()
    assert seen <= {"fixed/1.0.0", "fixed/1.1.0", "fixed/1.2.0"}
    assert not list(models.glob(".*"))
