"""What a data set must be like, as a table: six suites of expectations.

Types and arguments are those of Great Expectations (`great_expectations.expectations`); `mostly` is the share of rows
that has to fulfil it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.recording import Sex
from training.validation.limits import Limits
from training.validation.report import Severity
from training.validation.tables import ID, Table

BLOCK, WARN = Severity.BLOCK, Severity.WARN
BETWEEN, IN_SET = "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToBeInSet"
UNIQUE, MATCH = "ExpectColumnValuesToBeUnique", "ExpectColumnValuesToMatchRegex"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation about one column. expected: the limit in words. reason: why it is one."""

    suite: str
    name: str
    severity: Severity
    table: Table
    type: str
    arguments: Mapping[str, object]
    expected: str
    reason: str


def expectations(limits: Limits) -> tuple[Expectation, ...]:
    """All suites with these limits."""
    return tuple(e for suite in SUITES for e in suite(limits))


def schema(limits: Limits) -> tuple[Expectation, ...]:
    """The tables say what each recording is."""
    return (
        Expectation(
            "schema", "every split has recordings", BLOCK, Table.SPLITS,
            BETWEEN, {"column": "recordings", "min_value": 1}, "at least one",
            "without one of them nothing can be learnt, chosen or shown",
        ),
        Expectation(
            "schema", "listed recordings are usable", BLOCK, Table.LISTED,
            IN_SET, {"column": "usable", "value_set": [True], "mostly": 1 - limits.max_dropped},
            f"all but {limits.max_dropped:.0%}", "an incomplete download looks like a smaller data set",
        ),
        Expectation(
            "schema", "every field has its type", BLOCK, Table.RECORDINGS,
            IN_SET, {"column": "wrong_types", "value_set": [""]}, "all",
            "a field that was not parsed is compared wrongly",
        ),
        Expectation(
            "schema", "recording ids are unique", BLOCK, Table.RECORDINGS,
            UNIQUE, {"column": ID}, "all", "features and predictions are kept by id: one would be taken for another",
        ),
        Expectation(
            "schema", "recordings are named", BLOCK, Table.RECORDINGS,
            MATCH, {"column": ID, "regex": r"\S"}, "all", "nobody could say which recording is meant",
        ),
        Expectation(
            "schema", "patients are named", BLOCK, Table.RECORDINGS,
            MATCH, {"column": "patient_id", "regex": r"\S"}, "all",
            "recordings of one patient cannot be kept in one split",
        ),
    )  # fmt: skip


def values(limits: Limits) -> tuple[Expectation, ...]:
    """Values are possible."""
    return (
        Expectation(
            "values", "ages are possible", BLOCK, Table.RECORDINGS,
            BETWEEN, {"column": "age", "min_value": 0, "max_value": limits.max_age}, f"0 to {limits.max_age:g} years",
            "age is an input of the model; 300 and 999 are marks, not ages",
        ),
        Expectation(
            "values", "patients are adults", WARN, Table.RECORDINGS,
            IN_SET, {"column": "adult", "value_set": [True], "mostly": 1 - limits.max_minors},
            f"all but {limits.max_minors:.0%}", "children have other norms and are outside of the intended use",
        ),
        Expectation(
            "values", "sex is one of the vocabulary", BLOCK, Table.RECORDINGS,
            IN_SET, {"column": "sex", "value_set": [s.value for s in Sex]}, ", ".join(s.value for s in Sex),
            "sex is an input of the model",
        ),
        Expectation(
            "values", "sampling rates are those of a resting ECG", BLOCK, Table.READABLE,
            BETWEEN,
            {"column": "sampling_rate", "min_value": limits.min_sampling_rate, "max_value": limits.max_sampling_rate},
            f"{limits.min_sampling_rate:g} to {limits.max_sampling_rate:g} Hz",
            "below, the band of the network is not there; above, it is a period or another unit",
        ),
        Expectation(
            "values", "recordings are one window long", BLOCK, Table.READABLE,
            BETWEEN, {"column": "duration", "min_value": limits.min_duration, "max_value": limits.max_duration},
            f"{limits.min_duration:g} to {limits.max_duration:g} s", "one label cannot be given to several windows",
        ),
        Expectation(
            "values", "amplitudes are millivolts", BLOCK, Table.READABLE,
            BETWEEN,
            {"column": "peak", "max_value": limits.max_peak, "mostly": 1 - limits.max_beyond_peak},
            f"at most {limits.max_peak:g} mV in all but {limits.max_beyond_peak:.1%}",
            "microvolts or converter counts were taken for millivolts",
        ),
    )  # fmt: skip


def signals(limits: Limits) -> tuple[Expectation, ...]:
    """Samples can be read, by a program and by a clinician."""
    return (
        Expectation(
            "signals", "recordings can be read", BLOCK, Table.SIGNALS,
            IN_SET, {"column": "readable", "value_set": [True], "mostly": 1 - limits.max_unreadable},
            f"all but {limits.max_unreadable:.0%}", "files are missing, cut off or of another format",
        ),
        Expectation(
            "signals", "a clinician could read them", BLOCK, Table.READABLE,
            IN_SET, {"column": "usable", "value_set": [True], "mostly": 1 - limits.max_refused},
            f"all but {limits.max_refused:.0%}", "the service refuses such a signal, so nothing is learnt from it",
        ),
        Expectation(
            "signals", "samples are numbers", BLOCK, Table.READABLE,
            BETWEEN, {"column": "invalid", "max_value": limits.max_invalid, "mostly": 1 - limits.max_damaged},
            f"at most {limits.max_invalid:.0%} invalid in all but {limits.max_damaged:.0%}",
            "more than that is bridged by invention",
        ),
        Expectation(
            "signals", "all twelve leads hold a signal", WARN, Table.READABLE,
            IN_SET, {"column": "silent_leads", "value_set": [0], "mostly": 1 - limits.max_damaged},
            f"in all but {limits.max_damaged:.0%}", "a lead that is always off for one class tells the class",
        ),
        Expectation(
            "signals", "signals are clean", WARN, Table.READABLE,
            IN_SET, {"column": "clean", "value_set": [True], "mostly": limits.min_clean},
            f"at least {limits.min_clean:.0%}", "figures from a noisier data set do not carry over to another",
        ),
    )  # fmt: skip


def labels(limits: Limits) -> tuple[Expectation, ...]:
    """Labels can be learnt from. Those of the test split are not looked at."""
    return (
        Expectation(
            "labels", "labels are of the closed vocabulary", BLOCK, Table.LABELLED,
            IN_SET, {"column": "foreign_labels", "value_set": [0]}, "all",
            "a label that the model does not know is lost in silence",
        ),
        Expectation(
            "labels", "labels are true or false", BLOCK, Table.LABELLED,
            IN_SET, {"column": "labels", "value_set": [True]}, "all", "an unknown label is absent, never a number",
        ),
        Expectation(
            "labels", "something is known of each recording", WARN, Table.LABELLED,
            BETWEEN, {"column": "known_labels", "min_value": 1, "mostly": 1 - limits.max_unlabelled},
            f"all but {limits.max_unlabelled:.0%}", "the others teach nothing; a mapping may have lost its codes",
        ),
        Expectation(
            "labels", "normal excludes abnormal", BLOCK, Table.LABELLED,
            IN_SET, {"column": "contradictory", "value_set": [False], "mostly": 1 - limits.max_contradictory},
            f"all but {limits.max_contradictory:.0%}", "NORM beside another class: one of them is wrong, or mapped so",
        ),
        Expectation(
            "labels", "label rates are plausible", BLOCK, Table.CLASSES,
            BETWEEN, {"column": "rate", "min_value": limits.min_rate, "max_value": limits.max_rate},
            f"{limits.min_rate:.1%} to {limits.max_rate:.0%}", "a column was swapped, inverted or never filled",
        ),
        Expectation(
            "labels", "every known class can be learnt", BLOCK, Table.CLASSES,
            BETWEEN, {"column": "train_positives", "min_value": limits.min_train_positives},
            f"at least {limits.min_train_positives} training recordings", "fewer are learnt by heart",
        ),
        Expectation(
            "labels", "every known class can be judged", BLOCK, Table.CLASSES,
            BETWEEN, {"column": "val_positives", "min_value": limits.min_val_positives},
            f"at least {limits.min_val_positives} validation recordings",
            "the epoch and the threshold would be chosen by chance",
        ),
    )  # fmt: skip


def leakage(limits: Limits) -> tuple[Expectation, ...]:
    """No split knows another."""
    return (
        Expectation(
            "leakage", "every patient is in one split", BLOCK, Table.RECORDINGS,
            IN_SET, {"column": "patient_splits", "value_set": [1]}, "all",
            "a model recognises a patient and seems to recognise the disease",
        ),
        Expectation(
            "leakage", "no samples are in two splits", BLOCK, Table.READABLE,
            IN_SET, {"column": "splits_with_samples", "value_set": [1]}, "all",
            "the same recording under two names is learnt by heart and then asked for",
        ),
        Expectation(
            "leakage", "samples are there once", WARN, Table.READABLE,
            IN_SET, {"column": "copies_in_split", "value_set": [1]}, "all",
            "a recording that is there twice counts twice, and makes intervals too narrow",
        ),
        Expectation(
            "leakage", "no training recording is rendered again in another split", WARN, Table.READABLE,
            IN_SET, {"column": "alike", "value_set": [False]}, "all",
            "the same recording at another rate, resolution or gain; look at them side by side",
        ),
    )  # fmt: skip


def bias(limits: Limits) -> tuple[Expectation, ...]:
    """Those whom the model has to serve are there."""
    known = f"at least {1 - limits.max_unknown_demographics:.0%}"
    mostly = 1 - limits.max_unknown_demographics
    return (
        Expectation(
            "bias", "sex is known", WARN, Table.RECORDINGS,
            IN_SET, {"column": "known_sex", "value_set": [True], "mostly": mostly}, known,
            "fairness can be judged for those only whose sex is known",
        ),
        Expectation(
            "bias", "age is known", WARN, Table.RECORDINGS,
            IN_SET, {"column": "known_age", "value_set": [True], "mostly": mostly}, known,
            "fairness can be judged for those only whose age is known",
        ),
        Expectation(
            "bias", "every group by sex and age can be judged", WARN, Table.GROUPS,
            BETWEEN, {"column": "recordings", "min_value": limits.min_group}, f"at least {limits.min_group} recordings",
            "rates among fewer are too uncertain to compare",
        ),
    )  # fmt: skip


SUITES: tuple[Callable[[Limits], tuple[Expectation, ...]], ...] = (schema, values, signals, labels, leakage, bias)
