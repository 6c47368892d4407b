"""The README of a released model, made from its card alone: a model card with the sections of Mitchell et al., Model
Cards for Model Reporting, FAT* 2019."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from inference.labels import SUPERCLASS_NAMES, Superclass
from training.fairness_report import fairness_markdown
from training.markdown import interval_text, number_text, table

NOT_LOOKED_AT = "not looked at"

BESIDE = (
    "Beside it: [source attributes](SOURCE_ATTRIBUTES.md) (ONC HTI-1), [data sheet](DATASHEET.md) of what it learned "
    "from, [card.json](card.json) for programs."
)
ETHICS = (
    "## Ethical considerations\n\nIt reads health data, and its results may move a clinician. Missed and late "
    "treatment, and treatment that nobody needed, are the harms; hazards, what is done against each and the tests that "
    "prove it are in `docs/risk.md` of the source code. Sex and age go into it, because normal values differ by them; "
    "that can also treat a group worse, which is why it is judged by group. It learned from anonymous recordings that "
    "were given out for research."
)
CHECK_FIRST = (
    "Check it on recordings of your own before anybody relies on it: `ecg-interop evaluate --kind cohort --data "
    "FOLDER`, then silent mode, then `ecg-interop monitor`."
)
# Why each set of recordings is there.
WHY = {
    "val": "chose the epoch; not learned from",
    "out-of-fold": "the training recordings, each by networks that it was kept from: the most recordings",
    "test": "the official test fold, which the gate reads; each look at it is recorded",
}
WHY_EXTERNAL = "another source: how far it carries"
HEADING = re.compile(r"^(?=#)", re.MULTILINE)

CALIBRATION = ("brier", "calibration_error", "calibration_slope", "calibration_intercept")


def readme(card: Mapping[str, Any]) -> str:
    """The card in readable form, Markdown."""
    measured = (*_scores(card), *_calibration(card), *_int8(card), *_groups(card), *_fairness(card), *_figures(card))
    sections = [
        _heading(card),
        _details(card),
        _uses(card),
        _factors(card),
        _metrics(card),
        _evaluation_data(card),
        _training_data(card),
        "## Quantitative analyses",
        *map(_one_level_down, measured),
        ETHICS,
        _caveats(card),
    ]
    return "\n\n".join(sections) + "\n"


def _one_level_down(text: str) -> str:
    """With its headings below those of the model card."""
    return HEADING.sub("#", text)


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
    return f"# {card['name']} {card['version']}\n\n{status}\n\n{BESIDE}"


def _details(card: Mapping[str, Any]) -> str:
    network, preprocessing = card["network"], card["preprocessing"]
    files = "\n".join(f"- `{name}` {sha256}" for name, sha256 in card["files"].items())
    return (
        f"## Model details\n\n{network['architecture']}; {network['parameters']:,} parameters; ONNX opset "
        f"{network['opset']}. The ONNX file and the torch weights agree within {network['parity']:.0e} on real "
        f"recordings.\n\nMade {card['created']} from commit {card['commit'] or '(not committed)'}, preprocessing "
        f"{preprocessing['version']}, features {card['features']['version']}; its recipe is `training` in `card.json`. "
        f"By the maintainers of ECG Clinical Action Recommender, Apache-2.0. SHA-256:\n\n{files}"
    )


def _uses(card: Mapping[str, Any]) -> str:
    return f"## Intended use\n\n{card['intended_use']}"


def _factors(card: Mapping[str, Any]) -> str:
    judged = card.get("fairness")
    groups = (
        f"Assessed: sex and age, {judged['source']} on {judged['recordings']} recordings, and on the validation fold."
        if judged
        else "Assessed: sex and age on the validation fold, where they are known; not whether it is fair."
    )
    return (
        "## Factors\n\nWho is recorded (age, sex, and what the data set does not know, such as ethnicity), with what "
        f"(device, sampling rate, filters, electrodes), and how ill those are who have an ECG there. {groups} Device "
        "and site were not."
    )


def _metrics(card: Mapping[str, Any]) -> str:
    thresholds = ", ".join(f"{name} {threshold:g}" for name, threshold in card["thresholds"].items())
    return (
        "## Metrics\n\nWith 95 % bootstrap intervals. AUC: of the ROC curve. AUPRC: average precision; a guess reaches "
        "the share of positives. F1, sensitivity and specificity at the card's thresholds, from which on a class "
        f"counts as found: {thresholds}. Calibration, because a probability of 0.7 decides on urgency. Fairness by the "
        "rate of urgent results, which is what a patient notices."
    )


def _evaluation_data(card: Mapping[str, Any]) -> str:
    rows = [[split, f"{m['recordings']:,}", WHY.get(split, WHY_EXTERNAL)] for split, m in card["metrics"].items()]
    return "## Evaluation data\n\n" + table(["", "recordings", ""], rows)


def _training_data(card: Mapping[str, Any]) -> str:
    data = card["data"]
    splits = "\n".join(
        f"- {name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        for name, counts in data["splits"].items()
    )
    return (
        f"## Training data\n\n{data['source']} ({data['licence']}). {data['citation']}.\n\n{splits}\n\n"
        "Who is in it, by age, sex, site and device, and how it came to be: [data sheet](DATASHEET.md)."
    )


def _caveats(card: Mapping[str, Any]) -> str:
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    return f"## Caveats and recommendations\n\n{limits}\n- {CHECK_FIRST}"


def _scores(card: Mapping[str, Any]) -> Iterator[str]:
    yield "## Scores"
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
