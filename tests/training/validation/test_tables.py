from dataclasses import replace

import pytest

from inference.labels import Superclass
from tests.training.validation.sets import changed
from training.datasets.entry import Dropped, Entry, Split
from training.validation.bias import group_rates
from training.validation.signals import read_facts
from training.validation.tables import COLUMNS, ID, Sources, Table, tables, wrong_types


def sources(entries: tuple[Entry, ...]) -> Sources:
    labelled = [e for e in entries if e.split is not Split.TEST]
    sealed = [replace(e, labels={}) for e in entries if e.split is Split.TEST]
    return Sources(labelled, sealed, (Dropped("D", "absent"),), read_facts(entries), group_rates(labelled))


def test_each_table_has_a_row_for_each_of_its_things(healthy: tuple[Entry, ...]) -> None:
    sizes = {table: len(frame) for table, frame in tables(sources(healthy)).items()}
    assert sizes == {
        Table.SPLITS: 3, Table.LISTED: 61, Table.RECORDINGS: 60, Table.LABELLED: 48, Table.SIGNALS: 60,
        Table.READABLE: 60, Table.CLASSES: 10, Table.GROUPS: 6,
    }  # fmt: skip


def test_without_rows_every_column_is_there() -> None:
    made = tables(Sources((), (), (), (), ()))
    assert set(made) == set(Table)
    for table, frame in made.items():
        assert list(frame.columns) == [ID, *COLUMNS.get(table, COLUMNS[Table.SIGNALS])]


def test_a_class_of_which_nothing_is_known_has_no_row(healthy: tuple[Entry, ...]) -> None:
    entries = tuple(replace(e, labels={Superclass.CD: i % 2 == 0}) for i, e in enumerate(healthy))
    classes = tables(sources(entries))[Table.CLASSES]
    assert list(classes[ID]) == ["train/CD", "val/CD"]
    assert classes["train_positives"].iloc[0] == 18
    assert classes["val_positives"].iloc[1] == 6
    assert list(classes["rate"]) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("field", "value"),
    [("recording_id", 7), ("patient_id", None), ("split", "train"), ("age", "56"), ("site", 3), ("device", 4)],
)
def test_a_field_that_was_not_parsed_is_named(field: str, value: object, healthy: tuple[Entry, ...]) -> None:
    assert wrong_types(healthy[0]) == []
    assert wrong_types(changed(list(healthy), 0, **{field: value})[0]) == [field]


def test_an_age_that_is_no_number_is_unknown(healthy: tuple[Entry, ...]) -> None:
    entries = tuple(changed(list(healthy), 0, age="56"))
    # Without groups: letters belong to none.
    row = tables(Sources(entries, (), (), (), ()))[Table.RECORDINGS].iloc[0]
    assert (bool(row["known_age"]), row["wrong_types"]) == (False, "age")
