from dataclasses import fields
from typing import Any

import pytest

from training.validation.limits import SHARES, Limits


def limits(**changed: Any) -> Limits:
    return Limits(**changed)


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_share_outside_of_0_to_1_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        limits(**{name: value})


@pytest.mark.parametrize("name", ["min_train_positives", "min_val_positives", "min_group"])
def test_a_negative_count_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="negative"):
        limits(**{name: -1})


def test_every_share_is_checked() -> None:
    """What is at most 1 by default is a share; the counts, years, hertz, seconds and millivolts are larger."""
    assert set(SHARES) == {f.name for f in fields(Limits) if getattr(Limits(), f.name) <= 1}
