from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from orchestration.resources import DataFolders, ServiceStore, Workspace, resources
from orchestration.settings import Settings
from tests.releases import point, release
from training.release import Named


def test_a_data_set_is_looked_for_in_its_own_folder_or_in_the_one_of_all() -> None:
    folders = Settings(data=Path("all"), data_chapman=Path("elsewhere")).folders
    assert folders["chapman"] == Path("elsewhere")
    assert folders["code15"] == Path("all/code15")


def test_a_data_set_that_is_not_there_is_told_with_the_place_and_the_setting() -> None:
    folders = DataFolders(folders={"cohort": "nowhere/cohort"})
    assert folders.find("cohort") is None
    with pytest.raises(dg.Failure, match="no folder nowhere/cohort; set ECG_DATA or ECG_DATA_COHORT"):
        folders.open("cohort")


@pytest.mark.parametrize(("version", "status"), [("0.1.0", "candidate"), ("0.2.0", "champion")])
def test_a_model_in_service_is_never_replaced(tmp_path: Path, version: str, status: str) -> None:
    release(tmp_path, version, status=status)
    if status == "candidate":
        point(tmp_path, f"fixed/{version}")
    workspace = Workspace(var="var", models=str(tmp_path))
    with pytest.raises(dg.Failure, match="another version"):
        workspace.may_be_released(Named("fixed", version))


def test_a_candidate_that_nobody_serves_may_be_replaced(tmp_path: Path) -> None:
    release(tmp_path, "0.1.0", status="candidate")
    Workspace(var="var", models=str(tmp_path)).may_be_released(Named("fixed", "0.1.0"))


def test_the_secrets_of_the_service_s_store_and_of_its_channels_are_shown_nowhere() -> None:
    settings = Settings(
        _env_file=None,
        database_url=SecretStr("postgresql+psycopg2://ecg:sesame@db.example/ecg"),
        smtp_url=SecretStr("smtp://ecg:sesame@mail.example/?from=ecg@x.org&to=a@x.org"),
        slack_webhook=SecretStr("https://hooks.slack.com/services/A/B/sesame"),
    )
    found = resources(settings)["service_store"]
    assert isinstance(found, ServiceStore)
    assert "sesame" not in f"{found!r} {found} {settings!r}"
