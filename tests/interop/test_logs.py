import asyncio
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from interop import logs
from interop.logs import JsonFormatter, carried, correlation

QUIET = (*logs.URL_LOGGERS, *logs.CHATTY_LOGGERS)


def line_of(logger_name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    (found,) = [line for line in lines if line["logger"] == logger_name]
    assert isinstance(found, dict)
    return found


HOOKS = ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook"), (warnings, "showwarning"))


@pytest.fixture(autouse=True)
def _hooks_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `configure` replaces is put back by monkeypatch, which notes what it finds."""
    for place, name in (*HOOKS, (logging, "raiseExceptions")):
        monkeypatch.setattr(place, name, getattr(place, name))


@pytest.fixture(autouse=True)
def _root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
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


@pytest.mark.parametrize("name", QUIET)
def test_loggers_that_print_urls_or_the_same_again_are_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
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


def in_a_thread() -> None:
    thread = threading.Thread(target=int, args=("Muster^Erika",), name="worker")
    thread.start()
    thread.join()


def uncaught() -> None:
    error = ValueError("Muster^Erika")
    sys.excepthook(ValueError, error, None)


def in_a_finalizer() -> None:
    class Fragile:
        def __del__(self) -> None:
            raise ValueError("Muster^Erika")

    Fragile()


def in_a_callback() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(logs.log_loop_error)
        loop.call_soon(int, "Muster^Erika")
        await asyncio.sleep(0.01)

    asyncio.run(scenario())


@pytest.mark.parametrize("fail", [in_a_thread, uncaught, in_a_finalizer, in_a_callback])
def test_an_error_that_nobody_catches_is_a_line_like_any_other(
    fail: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    fail()
    text = capsys.readouterr().err
    (line,) = [json.loads(one) for one in text.splitlines()]
    assert (line["level"], line["message"]) == ("ERROR", "unhandled error")
    assert line["exception"][0]["type"] == "builtins.ValueError"
    assert "Muster" not in text


def test_a_warning_is_a_line_by_kind_and_place_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = logs.warned
        warnings.warn("unexpected value Muster^Erika", UserWarning, stacklevel=1)
    text = capsys.readouterr().err
    line = json.loads(text)
    assert line["category"] == "UserWarning"
    assert "test_logs.py" in line["at"]
    assert "Muster" not in text


@pytest.mark.parametrize("value", [2**80, "half a pair \ud83d", object(), b"bytes", {1, 2}])
def test_whatever_a_field_holds_the_line_is_json(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    logging.getLogger("ecg.test").info("stored", extra={"value": value})
    assert line_of("ecg.test", capsys)["message"] == "stored"


def test_a_record_that_cannot_be_formatted_is_not_printed_with_its_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("INFO")
    logging.getLogger("ecg.test").info("%d of %d", "Muster^Erika")
    assert "Muster" not in capsys.readouterr().err


def test_work_that_is_carried_to_another_thread_keeps_its_correlation_id() -> None:
    seen: list[str] = []
    token = correlation.set("abc-2")
    work = carried(lambda: seen.append(correlation.get()))
    correlation.reset(token)
    for target in (work, lambda: seen.append(correlation.get())):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert seen == ["abc-2", logs.NO_CORRELATION]
