"""An analysis to change."""

from functools import cache

from actions.analysis import Analysis, Door, RequestContext
from actions.analyze import Analyze
from actions.policy import load_policy
from tests.fakes import NOW, FakeClassify, FixedClock, SequentialIds, make_prediction
from tests.interop.service import real_ecg


@cache
def analysis() -> Analysis:
    """Of a recording made just now in which a model found an infarction."""
    analyze = Analyze(
        classify=FakeClassify(make_prediction(MI=0.83)), policy=load_policy(), clock=FixedClock(), ids=SequentialIds()
    )
    return analyze(real_ecg(), RequestContext(door=Door.FHIR, received_at=NOW, correlation_id="c"))
