"""What a rules file says, as frozen values. `actions.policy` reads them from JSON; `actions.mapping` applies them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from actions.analysis import PolicyInfo, Urgency
from inference.labels import Coding, Superclass
from inference.quality import QualityCode
from inference.recording import Sex


class ConclusionKind(StrEnum):
    """What the decided classes amount to. `normal` and `normal-unconfirmed`: NORM alone was decided, with and without
    all the conditions of a normal ECG. `inconclusive`: nothing was decided."""

    FINDINGS = "findings"
    NORMAL = "normal"
    NORMAL_UNCONFIRMED = "normal-unconfirmed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Limits:
    """A range of values. at_least and at_most include the edge, above and below do not; None is no limit."""

    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None

    def hold(self, value: float | None) -> bool:
        """Whether the value lies inside. An unknown value never does."""
        if value is None:
            return False
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    @property
    def empty(self) -> bool:
        """Whether no value at all can lie inside (an inverted band)."""
        lower = max((x for x in (self.at_least, self.above) if x is not None), default=None)
        upper = min((x for x in (self.below, self.at_most) if x is not None), default=None)
        if lower is None or upper is None or lower < upper:
            return False
        # A single point is a range only if both of its edges belong to it.
        return lower > upper or self.above == lower or self.below == upper

    def __str__(self) -> str:
        """In words, for a reader: `at least 50, at most 100`."""
        words = ((name.replace("_", " "), getattr(self, name)) for name in Limits.__slots__)
        return ", ".join(f"{name} {value:g}" for name, value in words if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The conditions of a rule; all that are given must hold.

    diagnosis: decided (at or above its threshold), with its probability inside `probability`. with_all, with_any,
    without: further classes decided or not. age, sex, measurements: an unknown value fulfils no condition.
    quality: any of these findings is present. conclusion: the conclusion is of this kind. acute: True only for
    recordings inside the acute window, False only for older or undated ones.
    """

    diagnosis: Superclass | None = None
    probability: Limits = Limits()
    with_all: frozenset[Superclass] = frozenset()
    with_any: frozenset[Superclass] = frozenset()
    without: frozenset[Superclass] = frozenset()
    age: Limits | None = None
    sex: Sex | None = None
    measurements: Mapping[str, Limits] = field(default_factory=dict)
    quality: frozenset[QualityCode] = frozenset()
    conclusion: ConclusionKind | None = None
    acute: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. source: the full citations, joined. code: SNOMED CT procedure, only where verified."""

    id: str
    when: When
    action: str
    urgency: Urgency
    rationale: str
    source: str
    code: Coding | None = None


class OrderKind(StrEnum):
    """What an order asks for: a drug, or something to be done (a test, a procedure)."""

    MEDICATION = "medication"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGroup:
    """Orders that a rule treats alike. name: for a reader. source: the full citations of the selection, joined.

    An order belongs to it by one of its `codes`, or by one of its `names` (whole words in a text of the order). Names
    are looked for only in orders of this `kind`, where both are known: a laboratory's digoxin level gives no digoxin.
    """

    id: str
    name: str
    source: str
    codes: tuple[Coding, ...] = ()
    names: tuple[str, ...] = ()
    kind: OrderKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRule:
    """What to say to whoever orders one of `orders` while an ECG is known that fulfils `when`.

    when: never with `quality`, `conclusion` or `acute`. new: the diagnosis must not have been decided in the ECG
    before. within: how old the ECG may be, by its recording time. source: the full citations, joined.
    """

    id: str
    orders: tuple[OrderGroup, ...]
    when: When
    within: timedelta
    action: str
    urgency: Urgency
    rationale: str
    source: str
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalLimit:
    """What counts as normal for one measurement (of `sex`, or of everyone when None)."""

    measurement: str
    limits: Limits
    sex: Sex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The sentences of a conclusion that a hospital may word itself. findings: one phrase a class, without NORM."""

    normal: str
    inconclusive: str
    findings: Mapping[Superclass, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A checked rules file. mi_immediate_probability: from here on (inclusive) an MI may be `immediate`. order_groups:
    by id. order_rules: none in a file without the section `orders`."""

    info: PolicyInfo
    mi_immediate_probability: float
    wording: Wording
    normal: tuple[NormalLimit, ...]
    rules: tuple[Rule, ...]
    order_groups: Mapping[str, OrderGroup] = field(default_factory=dict)
    order_rules: tuple[OrderRule, ...] = ()
