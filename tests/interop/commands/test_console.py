"""Each kind of error as one line, with the exit code that says who has to act."""

import json

import pytest
from pydantic import BaseModel, ValidationError

from inference.errors import (
    ConfigurationError,
    EcgError,
    InvalidContent,
    ModelInvalid,
    NotFound,
    StorageUnavailable,
)
from interop.commands.console import explain, print_json


class Wrong(BaseModel):
    http_port: int


def invalid() -> ValidationError:
    try:
        Wrong.model_validate({"http_port": "hunter2"})
    except ValidationError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NotFound("no received item 7"), 2, "no received item 7"),
        (InvalidContent("no number", element="OBX[3]-5"), 2, "OBX[3]-5: no number"),
        (StorageUnavailable("database: SQLITE_FULL"), 1, "database: SQLITE_FULL"),
        (ConfigurationError("[bold]brackets[/bold] stay"), 1, "[bold]brackets[/bold] stay"),
        (ModelInvalid("m/card.json: has no name", element="m/card.json"), 1, "m/card.json: has no name"),
        (FileNotFoundError(2, "No such file or directory", "/a/b"), 1, "/a/b: No such file or directory"),
        (ConnectionResetError("the peer is gone"), 1, "the peer is gone"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: EcgError | OSError, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(error) == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_where_there_are_several_files_the_line_names_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    explain(InvalidContent("no number", element="row 3"), place="ecg.csv")
    assert capsys.readouterr().err == "ecg.csv: row 3: no number\n"


def test_a_wrong_setting_is_named_and_its_value_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(invalid()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ECG_HTTP_PORT: ")
    assert "hunter2" not in line


@pytest.mark.parametrize("value", [{"a": [1, None]}, [], "text"])
def test_json_is_one_document(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(value)
    assert json.loads(capsys.readouterr().out) == value
