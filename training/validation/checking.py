"""Expectations held against tables, by Great Expectations.

It runs in a context that lives in memory: nothing is written, nothing is sent, no configuration of the user is read.
It is imported when something is to be checked and not before: that takes seconds, and serving does without.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from training.validation.expectations import Expectation
from training.validation.report import Finding
from training.validation.tables import ID, Table

MAX_EXAMPLES = 5


def check(expectations: Sequence[Expectation], tables: Mapping[Table, Any]) -> tuple[Finding, ...]:
    """One finding for each expectation, in their order. An expectation that cannot be evaluated is broken."""
    gx = _great_expectations()
    source = _context(gx).data_sources.add_pandas("tables")
    findings: dict[str, Finding] = {}
    for table, frame in tables.items():
        asked = [e for e in expectations if e.table is table]
        if asked:
            findings |= _check_table(gx, source.add_dataframe_asset(table.value), frame, asked)
    return tuple(findings[e.name] for e in expectations)


def _great_expectations() -> Any:
    with warnings.catch_warnings():
        # 1.24.1 imports two modules of the standard library that are deprecated.
        warnings.filterwarnings("ignore", "module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        return import_module("great_expectations")


def _context(gx: Any) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    bars = import_module("great_expectations.data_context.types.base").ProgressBarsConfig
    context.variables.progress_bars = bars(globally=False, metric_calculations=False)
    return context


def _check_table(gx: Any, asset: Any, frame: Any, asked: Sequence[Expectation]) -> Mapping[str, Finding]:
    suite = gx.ExpectationSuite(name=asset.name, expectations=[_expectation(gx, e) for e in asked])
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    shape = {
        "result_format": "SUMMARY",
        "partial_unexpected_count": MAX_EXAMPLES,
        "unexpected_index_column_names": [ID],
    }
    results = batch.validate(suite, result_format=shape).results
    by_name = {e.name: e for e in asked}
    return {name: _finding(by_name[name], r) for r in results for name in (r.expectation_config.meta["name"],)}


def _expectation(gx: Any, expectation: Expectation) -> Any:
    return getattr(gx.expectations, expectation.type)(**expectation.arguments, meta={"name": expectation.name})


def _finding(expectation: Expectation, result: Any) -> Finding:
    rows, failed = result.result.get("element_count", 0), result.result.get("unexpected_count", 0)
    return Finding(
        name=expectation.name,
        suite=expectation.suite,
        severity=expectation.severity,
        passed=bool(result.success),
        expected=expectation.expected,
        seen=_seen(result, rows, failed),
        reason=expectation.reason,
        rows=rows,
        failed=failed,
        examples=_examples(result.result),
    )


def _seen(result: Any, rows: int, failed: int) -> str:
    if "element_count" not in result.result:
        return f"could not be evaluated: {_exception(result.exception_info)}"
    if failed == 0:
        return f"all {rows:,}" if rows else "nothing to look at"
    return f"{failed:,} of {rows:,} ({failed / rows:.1%}) not so"


def _exception(information: Mapping[str, Any]) -> str:
    """It is there plainly, or once for each metric that failed."""
    if "exception_message" in information:
        return str(information["exception_message"])
    return "; ".join(str(each["exception_message"]) for each in information.values())


def _examples(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids only: what stands beside them may be an age."""
    found = (str(row[ID]) for row in result.get("partial_unexpected_index_list", ()))
    return tuple(dict.fromkeys(found))
