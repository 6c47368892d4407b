"""Write docs/risk.md from docs/risk.json: hazards, measures, the tests that prove them, what risk remains."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
SOURCE, TARGET = DOCS / "risk.json", DOCS / "risk.md"

INTRODUCTION = """\
# Risk file

What can go wrong, how it would come to harm, what is done against it and which tests prove that it is done: in the
manner of ISO 14971, which this project does not claim to fulfil. Severity and probability are estimates of the
developers, on scales of their own; nothing here was measured on patients. A hospital that uses the service makes an
assessment of its own, of its own devices, users and ways of working.

`docs/risk.json` is the source; change that and run `python scripts/risk.py`. A test fails when a hazard has no measure,
a measure no test, when a test or a place in the code is gone, and when this page is not what the source gives
(`tests/test_risk.py`)."""

CONCLUSION = """\
**High risks remain.** Therefore: research and evaluation only, no medical device; every result is to be confirmed by a
clinician who looks at the tracing; a candidate runs silent; a trial begins in silent mode (`ECG_MODE=silent`)."""


def level(scales: dict[str, Any], estimate: dict[str, Any]) -> str:
    """The name of a risk: by severity times probability."""
    product = estimate["severity"] * estimate["probability"]
    return [str(found["name"]) for found in scales["levels"] if product >= found["from"]][-1]


def risk_markdown(source: dict[str, Any]) -> str:
    """The whole page."""
    return "\n\n".join(_parts(source)) + "\n"


def _parts(source: dict[str, Any]) -> Iterator[str]:
    scales, risks = source["scales"], source["risks"]
    yield INTRODUCTION
    yield "## Scales"
    for name in ("severity", "probability"):
        yield f"{name.capitalize()}: " + ", ".join(f"{n} {words}" for n, words in scales[name].items()) + "."
    yield (
        "Risk is severity times probability: "
        + ", ".join(f"{found['name']} from {found['from']}" for found in scales["levels"])
        + "."
    )
    yield "## Summary"
    yield "\n".join(_summary(scales, risks))
    if any(level(scales, risk["residual"]) == scales["levels"][-1]["name"] for risk in risks):
        yield CONCLUSION
    for risk in risks:
        yield from _risk(scales, risk)


def _summary(scales: dict[str, Any], risks: list[dict[str, Any]]) -> Iterator[str]:
    yield "| | hazard | before | with measures |\n|---|---|---|---|"
    for risk in risks:
        before, after = _estimate(scales, risk), _estimate(scales, risk["residual"])
        yield f"| {risk['id']} | {risk['hazard']} | {before} | {after} |"


def _estimate(scales: dict[str, Any], estimate: dict[str, Any]) -> str:
    return f"{level(scales, estimate)} ({estimate['severity']} x {estimate['probability']})"


def _risk(scales: dict[str, Any], risk: dict[str, Any]) -> Iterator[str]:
    yield f"## {risk['id']} {risk['hazard']}"
    yield f"{risk['sequence']} Harm: {risk['harm']}"
    yield "\n".join(_measure(measure) for measure in risk["measures"])
    yield (
        f"Before: {_estimate(scales, risk)}. With these measures: {_estimate(scales, risk['residual'])}. Remains: "
        f"{risk['remaining']}"
    )


def _measure(measure: dict[str, Any]) -> str:
    where = ", ".join(f"`{place}`" for place in measure["where"])
    tests = "\n".join(f"  - `{test}`" for test in measure["tests"])
    return f"- {measure['what']} {where}\n{tests}"


def main() -> None:
    """Write it."""
    TARGET.write_text(risk_markdown(json.loads(SOURCE.read_text())))


if __name__ == "__main__":
    main()
