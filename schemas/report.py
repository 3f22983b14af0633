"""The report. Its JSON form is fixed by the public API; numbers are finite or null."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from schemas.base import FiniteFloat, Interval, Sent, Split

SCHEMA_VERSION = "1.0"
Verdict = Literal["pass", "warn", "fail", "inconclusive"]
Family = Literal["overfitting", "metrics", "preprocessing"]
TermKind = Literal[
    "leakage",
    "repaired_fault",
    "contamination",
    "lost_values",
    "threshold",
    "input_shift",
    "label_shift",
    "label_or_concept",
    "overfitting",
    "unexplained",
]


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"  # mend before you rely on the number
    CRITICAL = "critical"  # the number, or the model, is not usable


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"  # too little data; the smallest visible effect is given
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"  # the check crashed; the audit went on


class Estimate(Sent):
    """A number from a sample, with its 95 % interval and the rows behind it."""

    estimate: FiniteFloat | None
    interval: Interval | None = None
    n: int | None = Field(None, ge=0)


class Effect(Sent):
    """What a finding measures, held against the limit that it broke."""

    name: str
    estimate: FiniteFloat
    interval: Interval | None = None
    limit: FiniteFloat | None = None
    unit: str | None = None


class Affected(Sent):
    split: Split = Field("validation", description="The split in which the rows lie.")
    columns: list[str] = []
    rows: list[int] = Field([], description="At most 100 row numbers of the split, counted from 0.")
    share_of_rows: FiniteFloat | None = Field(None, ge=0, le=1)


class Remedy(Sent):
    text: str
    code: str | None = Field(None, description="Python that runs, with the user's own names and numbers.")


class Figure(Sent):
    kind: str = Field("other", description="What is drawn, such as `waterfall` or `reliability`.")
    title: str = Field(description="A sentence that says what to see.")
    alternative: str = Field("", description="The same in words, for who cannot see the figure.")
    vega_lite: dict[str, JsonValue] = Field(description="A Vega-Lite specification that holds its data.")


class Confirmation(Sent):
    """What happened when the suspected fault was repaired and the same model was run again."""

    confirmed: bool
    intervention: str
    metric: str
    higher_is_better: bool = Field(True, description="Of the metric; where it is not, a gain is a fall.")
    before: FiniteFloat
    after: FiniteFloat
    gain_interval: Interval | None = None
    placebo_gain: FiniteFloat | None = Field(
        None, description="The largest gain of the placebo repairs; null where none is possible."
    )
    n: int | None = Field(None, ge=0, description="Rows on which both runs were compared.")
    by_exclusion: bool = Field(
        False,
        description="True where no repair exists without training anew: all other causes were excluded.",
    )


class Finding(Sent):
    code: str
    family: Family
    severity: Severity
    title: str
    summary: str
    effect: Effect | None = None
    p_value: FiniteFloat | None = Field(None, ge=0, le=1)
    q_value: FiniteFloat | None = Field(None, ge=0, le=1)
    n: int = Field(ge=0)
    affected: Affected = Affected()
    evidence: dict[str, JsonValue] = {}
    figures: list[Figure] = []
    remedy: Remedy


class Cause(Sent):
    """One entry of the diagnosis."""

    code: str
    explanation: str
    share_of_gap: Estimate | None = None
    confirmation: Confirmation | None = None
    remedy: Remedy


class TestedRepair(Sent):
    """A repair that was tried and did not bring the performance back: not a cause."""

    code: str
    confirmation: Confirmation
    reason: str


class CheckRecord(Sent):
    code: str
    outcome: Outcome
    reason: str | None = None
    smallest_visible_effect: FiniteFloat | None = None
    limits: dict[str, JsonValue] = {}
    seconds: FiniteFloat


class ClassMetrics(Sent):
    """One line of the classification report."""

    label: str
    precision: Estimate
    recall: Estimate
    f1: FiniteFloat | None
    support: int


class SplitMetrics(Sent):
    n: int = Field(ge=0)
    values: dict[str, Estimate] = Field(description="Every row counts alike.")
    weighted: dict[str, Estimate] = Field(
        {}, description="With the weights of `data.weight`, where the request names one; checks count rows alike."
    )
    per_class: list[ClassMetrics] = []


class Recommendation(Sent):
    """A metric that suits the problem, and why."""

    name: str
    reason: str


class Metrics(Sent):
    primary: str = Field(description="The metric in which gaps and gains are measured.")
    recommended: list[str] = Field([], description="The names of the recommendations.")
    recommendations: list[Recommendation] = []
    fingerprint: dict[str, JsonValue] = Field(
        {}, description="The properties of the problem that the recommendations rest on."
    )
    train: SplitMetrics
    validation: SplitMetrics


class GapTerm(Sent):
    """One part of the gap, in the metric's units; below 0 where it hides a part of the gap."""

    kind: TermKind
    code: str | None = Field(None, description="The finding that measured it.")
    estimate: FiniteFloat
    interval: Interval | None = None
    n: int | None = Field(None, ge=0)


class Gap(Sent):
    """What is to be explained, and what could not be."""

    metric: str
    reference: FiniteFloat | None = Field(None, description="The performance that training promised.")
    validation: FiniteFloat | None
    gap: FiniteFloat | None
    unexplained: FiniteFloat | None = Field(None, description="In the metric's units, after all causes.")
    unexplained_share: FiniteFloat | None = None
    terms: list[GapTerm] = Field([], description="The parts of the gap; they add up to it.")
    interaction: Estimate | None = Field(
        None,
        description="What all repairs gain together less what each gains alone; null with fewer than two repairs.",
    )


class Report(Sent):
    schema_version: str = SCHEMA_VERSION
    audit_id: str
    verdict: Verdict
    summary: str
    diagnosis: list[Cause]
    gap: Gap | None = None
    findings: list[Finding]
    tested_not_a_cause: list[TestedRepair] = []
    figures: list[Figure] = Field([], description="Of the whole; those of a finding stand with it.")
    checks: list[CheckRecord]
    metrics: Metrics
    model: dict[str, JsonValue]
    data: dict[str, JsonValue]
    history: dict[str, JsonValue] | None = None
    environment: dict[str, JsonValue]
