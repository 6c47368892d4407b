"""What is known of a model and its rules, in sentences: each source attribute that a record tells, and which one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from actions.analysis import Urgency
from actions.intended_use import ADULT_AGE
from actions.rules import Policy
from inference.labels import SUPERCLASS_NAMES, Superclass
from training.card_texts import DATA
from training.markdown import interval_text

Card = Mapping[str, Any]

EXTERNAL = "external-"  # how the figures on another data set are named in a card
CLASSES = ", ".join(f"{SUPERCLASS_NAMES[c]} ({c})" for c in Superclass)
NOT_INPUTS = (
    "Race, ethnicity, language, sexual orientation, gender identity, social determinants of health and health status "
    "assessments: no, neither the model nor the rules take them in."
)
NO_COMPOSITION = "Not available: who is in the training data is not recorded with this release."
NO_EXTERNAL = "Not available: it was not validated on other data."


class Fact(NamedTuple):
    """lines: what is said. sources: the records that say it."""

    lines: tuple[str, ...]
    sources: tuple[str, ...]


def output_value(card: Card, policy: Policy) -> Fact:
    """What comes out."""
    thresholds = ", ".join(f"{name} {threshold:g}" for name, threshold in card["thresholds"].items())
    return Fact(
        (
            f"For each of {len(Superclass)} classes a probability from 0 to 1 and whether it counts as found (from "
            f"these thresholds on: {thresholds}): {CLASSES}. The classes do not exclude each other.",
            f"From these, from measurements, signal quality, age and sex, by {len(policy.rules)} rules: recommended "
            f"actions with an urgency ({', '.join(Urgency)}), the reason and the guideline behind it; by "
            f"{len(policy.order_rules)} more, warnings to whoever orders a drug or a test.",
        ),
        ("card: thresholds", "rules"),
    )


def intended_use(card: Card, policy: Policy) -> Fact:
    """As the card has it."""
    return Fact((card["intended_use"],), ("card: intended_use",))


def population(card: Card, policy: Policy) -> Fact:
    """Who may be assessed, as the code has it."""
    return Fact(
        (
            f"Adults, from {ADULT_AGE:.0f} years on, with a resting 12-lead ECG. An unknown age counts as adult, with "
            "a warning. For younger patients, paced rhythms and other recordings nothing is recommended or coded.",
        ),
        ("code: actions/intended_use.py",),
    )


def risks(card: Card, policy: Policy) -> Fact:
    """The limits on the card, and what it was promoted without."""
    waiver = card.get("waiver")
    standing = {
        "candidate": "It is a candidate: it has not passed the gate, and runs silent unless the operator allows it.",
        "champion": "It has passed the gate.",
    }[card["status"]]
    waived = f"Passed by waiver, {waiver['says']}: {waiver['reason']} ({waiver['by']})." if waiver else standing
    return Fact((waived, *card["limits"]), ("card: status, limits",))


def criteria(card: Card, policy: Policy) -> Fact:
    """Which recordings it learned from."""
    data = card["data"]
    composition = data.get("composition")
    train = data["splits"].get("train", {}).get("recordings")
    lines = [f"Included: the training recordings of {data['source']}{'' if train is None else f', {train:,}'}."]
    if composition is None:
        return Fact((*lines, NO_COMPOSITION), ("card: data",))
    first, last = composition["ids"]["first"], composition["ids"]["last"]
    lines.append(f"At hand were the recordings with ids from {first} to {last} whose files were there.")
    left_out = [f"{count} because {reason}" for reason, count in composition["left_out"].items()]
    lines.append(f"Left out: {'; '.join(left_out) or 'none'}. Nobody was left out for age, sex or device.")
    return Fact(tuple(lines), ("card: data",))


def variables(card: Card, policy: Policy) -> Fact:
    """Which of the variables that the rule names go into the model and into the rules."""
    names = set(card["features"]["names"])
    used = {
        "Date of birth": ("age in years at the time of the recording", "age" in names),
        "Sex": ("female, male or unknown", {"female", "male"} & names),
    }
    by_model = [
        f"{name}: yes, as {form}, in the model; it may be unknown." if found else f"{name}: no, not in the model."
        for name, (form, found) in used.items()
    ]
    conditions = [*(rule.when for rule in policy.rules), *(rule.when for rule in policy.order_rules)]
    by_rules = {
        "sex": sum(when.sex is not None for when in conditions) + sum(limit.sex is not None for limit in policy.normal),
        "age": sum(when.age is not None for when in conditions),
    }
    told = ", ".join(f"{count} by {name}" for name, count in by_rules.items())
    return Fact(
        (*by_model, f"Conditions and normal limits in the rules: {told}.", NOT_INPUTS),
        ("card: features.names", "rules"),
    )


def representativeness(card: Card, policy: Policy) -> Fact:
    """Age and sex of the patients it learned from."""
    composition = card["data"].get("composition")
    rest = "Not available: race, ethnicity, language and the others; the data set does not record them."
    if composition is None:
        return Fact((NO_COMPOSITION, rest), ("card: data.composition",))
    return Fact((*_people(composition["splits"]), rest), ("card: data.composition",))


def relevance(card: Card, policy: Policy) -> Fact:
    """The devices of the training data."""
    composition = card["data"].get("composition")
    if composition is None:
        return Fact((), ())
    devices = _counts(composition["splits"]["train"]["device"])
    return Fact((f"Devices of the training recordings: {devices}.",), ("card: data.composition",))


def fairness_approach(card: Card, policy: Policy) -> Fact:
    """What the gate says of this model."""
    report = card.get("fairness")
    if report is None:
        return Fact(("Not available: the fairness of this model was not judged.",), ("card: fairness",))
    return Fact((f"This model {'passes' if report['passes'] else 'does not pass'} it.",), ("card: fairness",))


def bias_management(card: Card, policy: Policy) -> Fact:
    """What was tried on this model."""
    config, remedies = card["training"], card.get("fairness", {}).get("remedies", ())
    lines = []
    if "demographics_dropout" in config:
        lines.append(
            f"In training age and sex were withheld from {config['demographics_dropout']:.0%} of the recordings, so "
            "that the model does not rest on them."
        )
    if remedies:
        passing = sum(price["passes"] for price in remedies)
        lines.append(f"{len(remedies)} settings of the thresholds were compared; with {passing} of them it passes.")
    return Fact(tuple(lines), ("card: training, fairness.remedies",) if lines else ())


def external_source(card: Card, policy: Policy) -> Fact:
    """Other data that it was scored on."""
    found = [
        f"{DATA[kind]['source'] if kind in DATA else kind}: {metrics['recordings']} recordings. Validity only."
        for kind, metrics in _external(card)
    ]
    return Fact(tuple(found) or (NO_EXTERNAL,), ("card: metrics",))


def external_party(card: Card, policy: Policy) -> Fact:
    """Who did that."""
    if not _external(card):
        return Fact((NO_EXTERNAL,), ("card: metrics",))
    return Fact(("The developers themselves; nobody independent has tested it.",), ("card: metrics",))


def external_representativeness(card: Card, policy: Policy) -> Fact:
    """Who they are."""
    if not _external(card):
        return Fact((NO_EXTERNAL,), ("card: metrics",))
    return Fact(
        ("Not available: age and sex of these recordings are not recorded with the release.",), ("card: metrics",)
    )


def external_process(card: Card, policy: Policy) -> Fact:
    """How."""
    if not _external(card):
        return Fact((NO_EXTERNAL,), ("card: metrics",))
    return Fact(
        (
            "All recordings of the other data set but those that the service would refuse, scored with the released "
            "thresholds; its diagnoses are placed in the five classes by a table, and stay unknown where none fits.",
        ),
        ("card: metrics", "code: training/evaluate.py"),
    )


def validity(card: Card, policy: Policy) -> Fact:
    """Scores on the data set that it learned from, the test fold first."""
    own = {name: metrics for name, metrics in card["metrics"].items() if not name.startswith(EXTERNAL)}
    unseen = () if "test" in own else ("Not available: scores on the test fold; this model was not asked.",)
    named = sorted(own.items(), key=lambda item: item[0] != "test")
    lines = [line for name, metrics in named for line in _scores(name, metrics)]
    return Fact((*unseen, *lines, "In parentheses: 95 % bootstrap intervals."), ("card: metrics",))


def fairness(card: Card, policy: Policy) -> Fact:
    """What the fairness report found."""
    report = card.get("fairness")
    if report is None:
        return Fact(("Not available: the fairness of this model was not judged.",), ("card: fairness",))
    conditions = (
        f"{c['name'].capitalize()}: {'cannot be judged' if c['value'] is None else format(c['value'], '.2f')} "
        f"({'passes' if c['passed'] else 'fails'}, at least {c['threshold']:g} is asked for)."
        for c in report["conditions"]
    )
    groups = (
        f"{name}: {group['recordings']} recordings, macro-AUC {interval_text(group['scores']['macro_auc'])}, urgent "
        f"{group['urgent']['count']}, truly urgent {group['true_urgent']['count']}"
        f"{'' if group['judged'] else ', too few to judge'}."
        for attribute in ("sex", "age")
        for name, group in report[attribute]["groups"].items()
    )
    judged = f"Judged {report['source']} on {report['recordings']} recordings of {report['patients']} patients."
    return Fact((judged, *conditions, *groups), ("card: fairness",))


def external_validity(card: Card, policy: Policy) -> Fact:
    """Scores on other data."""
    lines = [line for kind, metrics in _external(card) for line in _scores(f"{EXTERNAL}{kind}", metrics)]
    return Fact(tuple(lines) or (NO_EXTERNAL,), ("card: metrics",))


FACTS: Mapping[str, Callable[[Card, Policy], Fact]] = {
    made.__name__: made
    for made in (
        output_value, intended_use, population, risks, criteria, variables, representativeness, relevance,
        fairness_approach, bias_management, external_source, external_party, external_representativeness,
        external_process, validity, fairness, external_validity,
    )
}  # fmt: skip


def _external(card: Card) -> list[tuple[str, Mapping[str, Any]]]:
    found = card["metrics"].items()
    return [(name.removeprefix(EXTERNAL), metrics) for name, metrics in found if name.startswith(EXTERNAL)]


def _scores(name: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    yield f"{name}, {metrics['recordings']:,} recordings: macro-AUC {interval_text(metrics['macro_auc'])}."
    for c in Superclass:
        scores = metrics["classes"][c]
        yield (
            f"{name}, {SUPERCLASS_NAMES[c]}: {scores['positives']} positive, AUC {interval_text(scores['auc'])}, "
            f"sensitivity {interval_text(scores['sensitivity'], 2)}, specificity "
            f"{interval_text(scores['specificity'], 2)}."
        )


def _people(splits: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, split in splits.items():
        years = split["age_years"]
        ages = (
            "" if years is None else f"; from {years['lowest']:g} to {years['highest']:g}, median {years['median']:g}"
        )
        yield (
            f"{name}, {split['recordings']:,} recordings: sex {_counts(split['sex'])}; age in years "
            f"{_counts(split['age'])}{ages}."
        )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
