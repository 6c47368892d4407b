"""How much is measured: enough requests for a p99 that means something, within six minutes on two cores."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """predict, waveforms: requests of a row, which ends after row_seconds even so. sustained, intake: seconds.
    every_door: requests on each door before the memory is read. starts: of the service. repeats: of what runs in this
    process. stored: Observations in the large store of the searches. bundles: transactions of 50 ECGs. posts: ECGs that
    the memory is watched over."""

    predict: int = 800
    waveforms: int = 400
    row_seconds: float = 20.0
    sustained: float = 30.0
    intake: float = 10.0
    every_door: int = 100
    starts: int = 3
    repeats: int = 200
    stored: int = 20_000
    bundles: int = 4
    posts: int = 1000
    slow_library: bool = True  # hl7apy takes nine seconds for one message


DEFAULT = Sizes()
FULL = replace(
    DEFAULT,
    predict=2000,
    waveforms=1000,
    row_seconds=120.0,
    sustained=300.0,
    intake=60.0,
    repeats=500,
    stored=200_000,
    bundles=12,
    posts=10_000,
)
