"""Names for people, where the report has names for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from schemas.report import CheckRecord, Confirmation, Outcome, Report, Verdict
from service.formats.numbers import MINUS, bounds, count, number, signed

METRICS: Mapping[str, str] = {
    "r2": "R²",
    "mcc": "Matthews' correlation",
    "roc_auc": "ROC AUC",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "rmse": "RMSE",
    "mape": "MAPE",
    "brier": "Brier score",
    "answered": "share of rows answered",
}
VERDICTS: Mapping[Verdict, str] = {
    "pass": "No check found anything that costs performance.",
    "warn": "Mend what is marked as a warning before you rely on the number.",
    "fail": "The number, or the model, is not usable as it is.",
    "inconclusive": "There is too little data to decide.",
}


def metric(name: str) -> str:
    return METRICS.get(name, name.replace("_", " "))


def check_name(code: str) -> str:
    """``preprocessing.scaling_mismatch`` as "Scaling mismatch"."""
    return code.rpartition(".")[2].replace("_", " ").capitalize()


def visible(text: str, kept: str = "") -> str:
    """The text with escapes (U+001B is written as such) in place of characters that cannot be seen but for `kept`."""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def titles(report: Report) -> dict[str, str]:
    """Code -> title of its finding."""
    return {finding.code: finding.title for finding in report.findings}


def answer(report: Report) -> tuple[str, str]:
    """The answer in one plain sentence, and what shows it; the latter is empty where the summary is the sentence.

    A summary that begins with the proof of a cause answers a question that nobody has asked yet.
    """
    first = report.diagnosis[0] if report.diagnosis else None
    if first is None or not first.explanation or not report.summary.startswith(first.explanation):
        return report.summary, ""
    title = titles(report).get(first.code)
    return (f"{title}.", report.summary) if title else (report.summary, "")


def proof_numbers(proof: Confirmation) -> list[tuple[str, str]]:
    """Name and number of everything that proves or refutes a cause."""
    name = metric(proof.metric)
    if proof.by_exclusion:
        # nothing was repaired: what stands before and after are two measurements, told in the explanation
        return []
    # without an interval nothing was repaired and run again: these are two ends of a range
    between = "to" if proof.gain_interval is None else "→"
    told = [(name, f"{_like(proof.before, proof)} {between} {_like(proof.after, proof)}")]
    if proof.gain_interval is not None:
        told.append(("gain, 95 % interval", bounds(proof.gain_interval)))
    if proof.placebo_gain is not None:
        told.append(("best placebo", signed(proof.placebo_gain, proof.gain_interval)))
    if proof.n is not None:
        told.append(("rows", count(proof.n)))
    return told


def proof_word(proof: Confirmation) -> str:
    if not proof.confirmed:
        return "not confirmed"
    return "confirmed by exclusion" if proof.by_exclusion else "confirmed"


def outcome_counts(checks: Sequence[CheckRecord]) -> str:
    """``32 passed, 1 failed, ...``"""
    words = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.ERROR: "crashed"}
    counts = Counter(check.outcome for check in checks)
    return ", ".join(
        f"{counts[outcome]} {words.get(outcome, outcome.value.replace('_', ' '))}"
        for outcome in Outcome
        if counts[outcome]
    )


def _like(value: float, proof: Confirmation) -> str:
    if proof.gain_interval is None and abs(value) < 10:
        return f"{value:.2f}".replace("-", MINUS)
    return number(value, proof.gain_interval)
