"""The README of a released model, made from its card alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from inference.labels import SUPERCLASS_NAMES, Superclass
from training.fairness_report import fairness_markdown
from training.markdown import interval_text, number_text, table

NOT_LOOKED_AT = "not looked at"

CALIBRATION = ("brier", "calibration_error", "calibration_slope", "calibration_intercept")


def readme(card: Mapping[str, Any]) -> str:
    """The card in readable form, Markdown."""
    sections = [_heading(card), _uses(card), *_scores(card), *_calibration(card), *_int8(card), *_groups(card)]
    return "\n\n".join([*sections, *_fairness(card), *_figures(card), _origin(card)]) + "\n"


def _heading(card: Mapping[str, Any]) -> str:
    status = {
        "candidate": "**Candidate: it has not passed the promotion gate**, and says so in every result.",
        "champion": "Champion: it has passed the promotion gate.",
    }[card["status"]]
    waiver = card.get("waiver")
    if waiver:
        status = (
            f"**Champion by waiver: {waiver['says']}**, and says so in every result. Waived by {waiver['by']} on "
            f"{waiver['date'][:10]}: {waiver['reason']}"
        )
    network = card["network"]
    return (
        f"# {card['name']} {card['version']}\n\n{status}\n\n"
        f"{network['architecture']}; {network['parameters']:,} parameters; ONNX opset {network['opset']}. The ONNX "
        f"file and the torch weights agree within {network['parity']:.0e} on real recordings."
    )


def _uses(card: Mapping[str, Any]) -> str:
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    return f"## Intended use\n\n{card['intended_use']}\n\n{limits}"


def _scores(card: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "## Scores\n\nWith 95 % bootstrap intervals. AUC: of the ROC curve. AUPRC: average precision; a guess reaches "
        "the share of positives. F1, sensitivity and specificity at the card's thresholds."
    )
    for split, metrics in card["metrics"].items():
        yield _summary(split, metrics)
        heads = ["class", "positives", "AUC", "AUPRC", "F1", "sensitivity", "specificity", "threshold"]
        yield table(heads, [_class_row(c, metrics["classes"][c], card["thresholds"][c]) for c in Superclass])
    if "test" not in card["metrics"]:
        yield (
            f"**test**: {NOT_LOOKED_AT}. The test fold answers once for each model, so that it stays a test; this "
            "model has not asked it."
        )
    looks = card.get("test_looks")
    if looks:
        yield (
            f"Looks at the test fold, all of them recorded in `models/test_looks.jsonl`: {looks['of_this_model']} for "
            f"this model, {looks['of_all_models']} for all models up to it."
        )


def _summary(split: str, metrics: Mapping[str, Any]) -> str:
    patients = f" of {metrics['patients']} patients" if "patients" in metrics else ""
    said = f"**{split}**, {metrics['recordings']} recordings{patients}: macro-AUC {interval_text(metrics['macro_auc'])}"
    if "macro_average_precision" not in metrics:
        return said
    return (
        f"{said}; {metrics['share_above_goal']:.0%} of the bootstrap resamples are above 0.90; macro-AUPRC "
        f"{interval_text(metrics['macro_average_precision'])}"
    )


def _class_row(superclass: Superclass, scores: Mapping[str, Any], threshold: float) -> list[str]:
    positives = f"{scores['positives']} of {scores['recordings']}" if "recordings" in scores else scores["positives"]
    return [
        f"{SUPERCLASS_NAMES[superclass]} ({superclass})",
        str(positives),
        interval_text(scores["auc"]),
        interval_text(scores.get("average_precision")),
        *(interval_text(scores.get(name), 2) for name in ("f1", "sensitivity", "specificity")),
        str(threshold),
    ]


def _calibration(card: Mapping[str, Any]) -> Iterator[str]:
    measured = {
        split: metrics
        for split, metrics in card["metrics"].items()
        if all("brier" in scores for scores in metrics["classes"].values())
    }
    if not measured:
        return
    yield (
        "## Calibration\n\nBrier score: mean squared error of the probability. Calibration error: mean distance of "
        "predicted and observed share over ten bins, above 0 by chance alone in small sets. Slope and intercept of "
        "the logistic recalibration are 1 and 0 for calibrated probabilities; a slope below 1 says that they are too "
        "extreme."
    )
    rows = [
        [split, c.value, *(interval_text(metrics["classes"][c][name], 2) for name in CALIBRATION)]
        for split, metrics in measured.items()
        for c in Superclass
    ]
    yield table(["split", "class", "Brier", "calibration error", "slope", "intercept"], rows)
    if "calibration" in card:
        yield "In the graph, logits are divided by a temperature and moved by a bias, fitted on held-out recordings:"
        yield table(
            ["class", "temperature", "bias", "log loss", "before"],
            [
                [name, *(number_text(found[key], 3) for key in ("temperature", "bias", "log_loss", "before"))]
                for name, found in card["calibration"].items()
            ],
        )


def _int8(card: Mapping[str, Any]) -> Iterator[str]:
    if "int8" not in card:
        return
    int8 = card["int8"]
    val, calibration = int8["val"], int8["calibration"]
    yield (
        f"## In 8-bit integers\n\n`model.int8.onnx` runs instead of `model.onnx` where it is faster. {int8['method']}; "
        f"calibrated on {calibration['recordings']} recordings of {calibration['split']}.\n\n"
        f"On val, {val['recordings']} recordings: macro-AUC {val['int8_macro_auc']:.4f} (fp32 "
        f"{val['fp32_macro_auc']:.4f}); probabilities differ by {val['mean_difference']:.4f} on average and by "
        f"{val['largest_difference']:.3f} at most; {val['decisions_changed']} of "
        f"{val['recordings'] * len(Superclass)} decisions changed. All other figures here are those of fp32."
    )


def _groups(card: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [kind, name, str(group["recordings"]), interval_text(group["macro_auc"]), group["judgement"]]
        for kind, groups in card["groups"].items()
        for name, group in groups.items()
    ]
    yield (
        "## Groups of patients (validation fold, where age and sex are known)\n\n"
        + table(["by", "group", "recordings", "macro-AUC", ""], rows)
    )
    by_class = [
        [name, c, str(scores["positives"]), interval_text(scores["auc"]),
         interval_text(scores["sensitivity"], 2), interval_text(scores["specificity"], 2)]
        for groups in card["groups"].values()
        for name, group in groups.items()
        for c, scores in group.get("classes", {}).items()
        if scores["auc"] is not None
    ]  # fmt: skip
    if by_class:
        yield "Of each class, where a group has at least 20 recordings with 5 positives and 5 negatives:"
        yield table(["group", "class", "positives", "AUC", "sensitivity", "specificity"], by_class)


def _fairness(card: Mapping[str, Any]) -> Iterator[str]:
    if "fairness" in card:
        yield fairness_markdown(card["fairness"])


def _figures(card: Mapping[str, Any]) -> Iterator[str]:
    if card.get("figures"):
        yield "## Figures\n\n" + "\n\n".join(f"![{title}]({file})" for file, title in card["figures"].items())


def _origin(card: Mapping[str, Any]) -> str:
    data, preprocessing = card["data"], card["preprocessing"]
    splits = "\n".join(
        f"- {name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        for name, counts in data["splits"].items()
    )
    files = "\n".join(f"- `{name}` {sha256}" for name, sha256 in card["files"].items())
    return (
        f"## Origin\n\n{data['source']} ({data['licence']}). {data['citation']}.\n\n{splits}\n\n"
        f"Made {card['created']} from commit {card['commit'] or '(not committed)'}, preprocessing "
        f"{preprocessing['version']}, features {card['features']['version']}. SHA-256:\n\n{files}"
    )
