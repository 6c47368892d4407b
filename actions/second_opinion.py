"""What the rules would have made of another model's prediction for an ECG that is analysed already. Pure."""

from datetime import timedelta

from actions.analysis import Analysis, Urgency, highest_urgency
from actions.conclusion import Evidence
from actions.mapping import interpret
from actions.recency import judge_recency
from actions.rules import Policy
from inference.prediction import Prediction


def second_opinion(policy: Policy, analysis: Analysis, prediction: Prediction, acute_window: timedelta) -> Urgency:
    """The highest urgency by the same rules, at the time of the analysis, with all else as it was found then."""
    evidence = Evidence(
        prediction=prediction,
        quality=analysis.quality,
        measurements=analysis.measurements,
        age=analysis.age,
        sex=analysis.sex,
        recency=judge_recency(analysis.recorded_at, analysis.analyzed_at, acute_window),
        outside_intended_use=analysis.outside_intended_use,
    )
    return highest_urgency(interpret(policy, evidence).recommendations)
