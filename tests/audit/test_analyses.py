from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from audit.records import AcknowledgementState, ProcessingState
from audit.store import Store
from inference.errors import Duplicate, NotFound
from tests.audit.values import analysis, received


def received_id(store: Store) -> int:
    with store.unit_of_work() as uow:
        return uow.inbox.add(received(), ProcessingState.ANALYSED, AcknowledgementState.PENDING)


def test_an_analysis_reads_back_with_every_digit(store: Store) -> None:
    row = analysis("a-1", received_id(store))
    bare = replace(row, id="a-2", probabilities=None, recorded_at=None, age=None, sender="MUSE", model_name=None)
    with store.unit_of_work() as uow:
        uow.analyses.add(replace(row, probabilities=MappingProxyType(dict(row.probabilities or {}))))
        uow.analyses.add(bare)
    with store.reader() as reader:
        assert reader.analyses.get("a-1") == row
        assert reader.analyses.get("a-2") == bare


def test_an_analysis_is_stored_once(store: Store) -> None:
    row = analysis("a-1", received_id(store))
    with store.unit_of_work() as uow:
        uow.analyses.add(row)
        with pytest.raises(Duplicate):
            uow.analyses.add(row)


def test_the_analyses_of_a_time_are_counted_by_mode(store: Store) -> None:
    row = analysis("a-1", received_id(store))
    with store.unit_of_work() as uow:
        for number, mode in enumerate(("live", "live", "silent")):
            uow.analyses.add(replace(row, id=f"a-{number}", mode=mode))
        uow.analyses.add(replace(row, id="old", analyzed_at=row.analyzed_at - timedelta(days=2)))
    with store.reader() as reader:
        since = row.analyzed_at - timedelta(days=1)
        assert (reader.analyses.count("live", since), reader.analyses.count("silent", since)) == (2, 1)


def test_an_unknown_analysis_is_not_found(store: Store) -> None:
    with store.reader() as reader, pytest.raises(NotFound):
        reader.analyses.get("a-9")
