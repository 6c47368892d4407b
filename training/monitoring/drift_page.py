"""The page of a drift report, by Evidently: a table of the columns with both distributions.

Evidently is given the sizes of the shifts as its scores, so that its table begins with the largest, and for each column
a threshold at which it flags what `training.monitoring.shift_tests` flags: it knows no correction for many tests, and
its own chi-squared test takes the reference for the truth.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.monitoring.columns import BY_NAME, Family, Sample
from training.monitoring.shift_tests import Judged, homogeneity, kolmogorov_smirnov

if TYPE_CHECKING:
    import pandas as pd

NUMBERS, CATEGORIES = "ecg-kolmogorov-smirnov", "ecg-homogeneity"
UNSAFE = re.compile(r"[^\w .,:|+/()-]")
ANY = 0.001  # of the columns: the headline says whether any is flagged

Sides = Mapping[Family, tuple[Sample, Sample, str]]  # current, reference, what the reference is


def drift_page(judged: Sequence[Judged], sides: Sides) -> bytes | None:
    """HTML; None where nothing could be judged. It loads nothing and sends nothing."""
    shown = [one for one in judged if one.flag is not None and one.tested.name in BY_NAME]
    if not shown:
        return None
    page: str = _snapshot(shown, sides).get_html_str(as_iframe=False)
    return page.encode()


def _snapshot(shown: Sequence[Judged], sides: Sides) -> Any:
    with warnings.catch_warnings():
        # Of libraries that Evidently imports, about versions of others.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        _register_tests()
        names = [one.tested.name for one in shown]
        definition = DataDefinition(
            numerical_columns=[name for name in names if BY_NAME[name].numeric],
            categorical_columns=[name for name in names if not BY_NAME[name].numeric],
        )
        data = [Dataset.from_pandas(_frame(names, sides, side), data_definition=definition) for side in (0, 1)]
        drift = DataDriftPreset(
            columns=names,
            drift_share=ANY,
            num_method=NUMBERS,
            cat_method=CATEGORIES,
            per_column_threshold={one.tested.name: _threshold(one) for one in shown},
        )
        return Report([drift]).run(*data)


def _threshold(judged: Judged) -> float:
    """The size from which on a shift is flagged: what matters, or more where as much might be chance."""
    effect, least = judged.tested.effect or 0.0, judged.tested.least
    return least if judged.flag or effect < least else math.nextafter(effect, math.inf)


def _frame(names: Sequence[str], sides: Sides, side: int) -> "pd.DataFrame":
    """Each column as its family is compared, so that columns may be of different ECGs."""
    import pandas as pd

    samples = {family: (current, reference)[side] for family, (current, reference, _) in sides.items()}
    return pd.DataFrame({name: pd.Series(_shown(name, samples[BY_NAME[name].family])) for name in names})


def _shown(name: str, sample: Sample) -> Any:
    """Evidently writes words into its script as they are, and senders name themselves."""
    values = sample.known(name)
    return values if BY_NAME[name].numeric else [UNSAFE.sub("?", word) for word in values]


def _register_tests() -> None:
    """Our tests, under names of their own."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def of_numbers(then: Any, now: Any, kind: Any, threshold: float) -> tuple[float, bool]:
        *_, effect = kolmogorov_smirnov(now.to_numpy(), then.to_numpy())
        return effect, effect >= threshold

    def of_categories(then: Any, now: Any, kind: Any, threshold: float) -> tuple[float, bool]:
        *_, effect = homogeneity(now.to_numpy(), then.to_numpy())
        return effect, effect >= threshold

    for name, title, kind, function in (
        (NUMBERS, "Kolmogorov-Smirnov distance", ColumnType.Numerical, of_numbers),
        (CATEGORIES, "total variation distance", ColumnType.Categorical, of_categories),
    ):
        register_stattest(StatTest(name=name, display_name=title, allowed_feature_types=[kind]), function)
