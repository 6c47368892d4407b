import json
import logging
from collections.abc import Iterator

import pytest

from interop import logs
from interop.logs import JsonFormatter, correlation


def line_of(logger_name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    (found,) = [line for line in lines if line["logger"] == logger_name]
    assert isinstance(found, dict)
    return found


@pytest.fixture(autouse=True)
def _root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.URL_LOGGERS}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def test_a_record_is_one_line_of_json_with_the_correlation_id(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    token = correlation.set("abc-1")
    logging.getLogger("ecg.test").info("stored", extra={"analysis": "01890000", "door": "fhir"})
    correlation.reset(token)
    line = line_of("ecg.test", capsys)
    assert line["message"] == "stored"
    assert line["level"] == "INFO"
    assert line["correlation_id"] == "abc-1"
    assert line["analysis"] == "01890000"
    assert str(line["time"]).endswith("+00:00")


def test_an_exception_is_logged_by_type_and_place_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    try:
        try:
            int("Muster^Erika")
        except ValueError as error:
            raise KeyError("19610203") from error
    except KeyError:
        logging.getLogger("ecg.test").exception("failed")
    text = capsys.readouterr().err
    assert "Muster" not in text
    assert "19610203" not in text
    described = json.loads(text)["exception"]
    assert [one["type"] for one in described] == ["builtins.KeyError", "builtins.ValueError"]
    assert "test_logs.py" in described[0]["at"][0]


@pytest.mark.parametrize("name", logs.URL_LOGGERS)
def test_loggers_that_print_urls_are_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logging.getLogger(name).info("GET /fhir/DiagnosticReport?subject=Patient/1")
    assert "Patient/1" not in capsys.readouterr().err


def test_records_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING")
    logging.getLogger("ecg.test").info("chatter")
    assert capsys.readouterr().err == ""


def test_a_line_break_in_a_message_does_not_break_the_line() -> None:
    record = logging.makeLogRecord({"msg": "one\ntwo"})
    assert "\n" not in JsonFormatter().format(record)


def test_new_correlation_ids_differ_and_are_safe_in_a_header() -> None:
    ids = {logs.new_correlation_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(one.isalnum() for one in ids)
