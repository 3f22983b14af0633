"""Missing values reach the model, or were filled with what the model never learned.

What it measures: the rate of missing values of every column in both splits (two-proportion test,
    Benjamini-Hochberg over the columns); the rows for which the model gives no finite answer; and what each
    imputation, fitted on the training data alone, brings back when the same model is run again. Training rows with
    holes beside a validation file without any are reported as rows dropped. Whether the holes themselves go with
    the label (Cramer's V, Benjamini-Hochberg) is an observation.
Why it matters: one NaN makes the whole answer NaN; dropping the rows instead changes the population that the
    metric speaks of.
When it is inconclusive: never; a hole is a hole.
How to fix: fit the imputer on the training data, add an indicator column where the holes themselves are
    informative, and put both into the pipeline that serves the model.
Reference: Little & Rubin, 2019, https://doi.org/10.1002/9781119482260; Newcombe, 1998,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
"""

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from audits.artefacts import Array, Rows
from audits.evidence.case import Case, Subject
from audits.repairs.imputation import METHODS, Method, column_names, holes, impute
from audits.repairs.imputation_remedy import best_method, compare_imputations, imputation_remedy
from audits.repairs.judgement import explain, judge, trial_of
from audits.repairs.protocol import Suspicion
from audits.repairs.snippets import first_of
from audits.results import CheckResult
from audits.statistics.distributions import two_proportion_test
from audits.statistics.intervals import rule_of_three
from audits.statistics.multiplicity import benjamini_hochberg
from schemas.limits.preprocessing import MissingValues
from schemas.report import Affected, Effect, Finding, Outcome, Severity

CODE = "preprocessing.missing_values"
TITLE = "Missing values reach the model"
MAX_COLUMNS_LISTED = 50


def missing_values(case: Case) -> CheckResult:
    """Judge the trial of imputing; unanswered rows and traces of imputations are findings of their own."""
    trial = trial_of(case, CODE)
    if trial is not None and trial.confirmed:
        return judge(
            case,
            CODE,
            title=TITLE,
            summary="When we {intervention} and run the same model again, {metric} goes from {before} to {after}.",
        )
    unanswered = _unanswered(case)
    if unanswered is not None:
        return unanswered
    dropped = _dropped_rows(case)
    if dropped is not None:
        return dropped
    if trial is None:
        # a hole is a hole: without any in these rows, no more than this share of the others has one
        result = CheckResult.passed(smallest=rule_of_three(len(case.mended)))
    else:
        result = judge(case, CODE, title=TITLE, summary="{intervention}")
    uneven = _uneven_rates(case) or _informative(case)
    if uneven is None:
        return result
    loud = uneven.severity is not Severity.INFO
    return replace(result, outcome=Outcome.FAIL if loud else result.outcome, finding=uneven, ranks=loud)


def suspect(case: Case, reference: Subject, subject: Subject) -> Suspicion | None:
    """Any hole in the features."""
    missing = holes(case.space, subject.rows)
    rows, columns = np.any(missing, axis=1), np.any(missing, axis=0)
    if not rows.any():
        return None
    limits = cast(MissingValues, case.limits[CODE])
    names = np.array(column_names(case.space, missing.shape[1]))[columns]

    def imputed(faulty: Subject, method: Method) -> Subject:
        filled = impute(case.space, reference.rows, faulty.rows, method, limits.neighbours)
        return case.rerun(faulty, filled)

    compared = {method: imputed(subject, method) for method in METHODS}
    chosen: Method = "median"

    def apply(faulty: Subject) -> Subject:
        return compared[chosen] if faulty is subject else imputed(faulty, chosen)

    def placebo(faulty: Subject, rng: np.random.Generator) -> Subject:
        # the same number of cells of rows without holes
        return replace(faulty, rows=_cells_at_random(case, reference, faulty, missing, rng))

    _, q_values = _rates(case, reference, subject)
    return Suspicion(
        code=CODE,
        intervention=f"fill the {int(missing.sum())} missing values of {len(names)} columns with the training {chosen}",
        apply=apply,
        placebo=placebo,
        columns=tuple(names[:MAX_COLUMNS_LISTED]),
        rows=rows,
        guesses=True,
        effect=Effect(name="share_of_rows_with_missing_values", estimate=float(rows.mean()), limit=0.0),
        q_value=float(q_values.min()),
        evidence={
            "missing_share": {
                str(n): float(s)
                for n, s in zip(names[:MAX_COLUMNS_LISTED], missing.mean(axis=0)[columns], strict=False)
            },
            "rows_without_answer": int((~subject.predictions.answered).sum()),
            "imputations": compare_imputations(case, subject, compared),
        },
        remedy=imputation_remedy(case, [str(n) for n in names], best_method(case, compared)),
    )


def _cells_at_random(case: Case, reference: Subject, faulty: Subject, missing: Array, rng: np.random.Generator) -> Rows:
    """The rows with as many present values overwritten, column by column, as are missing."""
    present = ~missing
    chosen = np.zeros_like(missing)
    for column in np.flatnonzero(missing.any(axis=0)):
        candidates = np.flatnonzero(present[:, column])
        count = min(int(missing[:, column].sum()), len(candidates))
        chosen[rng.choice(candidates, count, replace=False), column] = True
    numeric = missing.shape[1] - len(case.space.texts)
    rows = faulty.rows
    if isinstance(rows, np.ndarray):
        holed = np.where(chosen, np.nan, np.asarray(rows, dtype=np.float64).reshape(len(rows), -1))
        filled = np.asarray(impute(case.space, reference.rows, holed.reshape(rows.shape), "median"))
        flat = filled.reshape(len(rows), -1)
        flat[missing] = np.nan
        return flat.reshape(rows.shape).astype(rows.dtype)
    frame = rows.copy()
    names = column_names(case.space, missing.shape[1])
    for column in np.flatnonzero(chosen[:, :numeric].any(axis=0)):
        centre = float(np.nanmedian(case.space.values(reference.rows, int(column))))
        values = case.space.values(rows, int(column)).copy()
        values[chosen[:, column]] = centre
        frame[names[column]] = values
    return frame


def _rates(case: Case, reference: Subject, subject: Subject) -> tuple[Array, Array]:
    """(columns,) differences of the rates of missing values, and their q-values."""
    ours, theirs = holes(case.space, subject.rows), holes(case.space, reference.rows)
    a, b = ours.sum(axis=0), theirs.sum(axis=0)
    p_values = np.array(
        [
            two_proportion_test(int(x), len(ours), int(y), len(theirs)).p_value if x + y else 1.0
            for x, y in zip(a, b, strict=True)
        ]
    )
    return ours.mean(axis=0) - theirs.mean(axis=0), benjamini_hochberg(p_values)


def _unanswered(case: Case) -> CheckResult | None:
    """Holes for which the model gives no answer, although imputing them could not be proven to help."""
    subject = case.mended
    silent = ~subject.predictions.answered & holes(case.space, subject.rows).any(axis=1)
    if not silent.any():
        return None
    trial = trial_of(case, CODE)
    share = float(silent.mean())
    summary = (
        f"The model returns no finite output for {int(silent.sum())} of {len(silent)} validation rows, all of which "
        "contain missing values."
    )
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.CRITICAL if share > 0.05 else Severity.WARNING,
        title=TITLE,
        summary=summary,
        effect=Effect(name="share_of_rows_without_answer", estimate=share, limit=0.0),
        n=len(subject),
        affected=Affected(
            columns=list(trial.suspicion.columns) if trial else [],
            rows=[int(i) for i in subject.index[silent][:100]],
            share_of_rows=share,
        ),
        evidence=dict(trial.suspicion.evidence) if trial else {},
        remedy=trial.suspicion.remedy if trial else imputation_remedy(case, []),
    )
    explanation = (
        f"{summary} {explain(trial, case, 'When we {intervention}, {metric} goes from {before} to {after}.')}"
        if trial
        else None
    )
    return CheckResult(
        Outcome.FAIL,
        finding=finding,
        confirmation=trial.confirmation if trial else None,
        recovered=trial.gain if trial else None,
        explanation=explanation,
    )


def _dropped_rows(case: Case) -> CheckResult | None:
    """Training rows with holes, and a validation file without any: its holed rows were left out."""
    limits = cast(MissingValues, case.limits[CODE])
    train = case.train.sample
    missing = holes(case.space, train.rows)
    holed = np.asarray(missing.any(axis=1))
    differences, q_values = _rates(case, train, case.validation.sample)
    dropped = (differences < -limits.min_rate_difference) & (q_values < limits.fdr)
    if not dropped.any() or holes(case.space, case.validation.sample.rows).any():
        return None
    names = [
        n
        for n, hit in zip(column_names(case.space, missing.shape[1]), np.atleast_1d(missing.any(axis=0)), strict=True)
        if hit
    ]
    complete = train.at(~holed) if not holed.all() else train
    compared = {
        method: case.rerun(train, impute(case.space, complete.rows, train.rows, method, limits.neighbours))
        for method in METHODS
    }
    as_they_are, filled = case.score(train.at(holed)), case.score(compared["median"].at(holed))
    share = float(holed.mean())
    finding = Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING,
        title="Rows with missing values were dropped from the validation data",
        summary=f"{share:.0%} of the training rows have missing values and no validation row has any: the validation "
        f"metric speaks of complete rows alone. On training rows, {case.scorer.title} is {case.score(complete):.2f} "
        f"where they are complete; on those with missing values it is {as_they_are:.2f} as they are and {filled:.2f} "
        "with the training median filled in.",
        effect=Effect(
            name="share_of_training_rows_with_missing_values", estimate=share, limit=limits.min_rate_difference
        ),
        q_value=float(q_values.min()),
        n=len(train),
        affected=Affected(columns=names[:MAX_COLUMNS_LISTED]),
        evidence={
            "label_mean_of_rows": {"complete": _label_mean(complete), "with_holes": _label_mean(train.at(holed))},
            "imputations_on_training_rows": compare_imputations(case, train, compared),
        },
        remedy=imputation_remedy(case, names, best_method(case, compared)),
    )
    return CheckResult(Outcome.FAIL, finding=finding)


def _label_mean(subject: Subject) -> float:
    """Mean label or class index: whether the rows with holes are other cases than the complete ones."""
    return float(np.mean(subject.labels)) if len(subject) else 0.0


def _uneven_rates(case: Case) -> Finding | None:
    """Columns whose rate of missing values differs between the splits: an observation."""
    limits = cast(MissingValues, case.limits[CODE])
    differences, q_values = _rates(case, case.train.sample, case.validation.sample)
    uneven = np.flatnonzero((np.abs(differences) > limits.min_rate_difference) & (q_values < limits.fdr))
    if not len(uneven):
        return None
    names = column_names(case.space, len(differences))
    worst = uneven[np.abs(differences[uneven]).argmax()]
    # numbers with holes that the training never showed: what a network makes of NaN is its kernels' whim
    unseen = uneven[uneven < len(differences) - len(case.space.texts)]
    new = len(unseen) and not holes(case.space, case.train.sample.rows)[:, unseen].any()
    return Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.WARNING if new else Severity.INFO,
        title="Values are missing more often in one split",
        summary=_uneven_summary([names[i] for i in uneven], float(differences[worst]), new=bool(new)),
        effect=Effect(name="rate_difference", estimate=float(differences[worst]), limit=limits.min_rate_difference),
        q_value=float(q_values[worst]),
        n=len(case.validation.sample),
        affected=Affected(columns=[names[i] for i in uneven[:MAX_COLUMNS_LISTED]]),
        remedy=imputation_remedy(case, [names[i] for i in uneven]),
    )


def _uneven_summary(names: list[str], difference: float, *, new: bool) -> str:
    listed = first_of(names)
    if new:
        return (
            f"NaN reaches the model in {len(names)} columns ({listed}), up to {difference:.0%} of the validation "
            "rows. The training data had none. The metric does not suffer here, but nothing in the model handles NaN."
        )
    return (
        f"{listed} {'are' if len(names) > 1 else 'is'} missing more often in the "
        f"{'validation' if difference > 0 else 'training'} data, by up to {abs(difference):.0%} of the rows; no "
        f"loss of "
        "performance was traced to it."
    )


def _informative(case: Case) -> Finding | None:
    """Columns whose holes go with the label, in the training rows: an observation."""
    limits = cast(MissingValues, case.limits[CODE])
    train = case.train.sample
    associations = _associations(case, train, holes(case.space, train.rows))
    if not associations:
        return None
    columns = list(associations)
    q_values = benjamini_hochberg(np.array([p for _, p in associations.values()]))
    # Fisher's transform of V, a correlation: its lower bound must exceed the limit
    lows = [np.tanh(np.arctanh(min(v, 1 - 1e-9)) - 1.96 / np.sqrt(len(train))) for v, _ in associations.values()]
    told = [i for i, low in enumerate(lows) if low > limits.min_association and q_values[i] < limits.fdr]
    if not told:
        return None
    names = column_names(case.space, holes(case.space, train.rows[:1]).shape[1])
    found = {names[columns[i]]: associations[columns[i]][0] for i in told}
    strongest = max(found, key=lambda name: found[name])
    return Finding(
        code=CODE,
        family="preprocessing",
        severity=Severity.INFO,
        title="Where values are missing says something about the label",
        summary=f"In the training rows, whether {strongest} is missing goes with the label (Cramer's V "
        f"{found[strongest]:.2f}): leaving such rows out changes the population, and an imputed value hides that "
        "it was missing.",
        effect=Effect(name="cramers_v", estimate=found[strongest], limit=limits.min_association),
        q_value=float(q_values[told].min()),
        n=len(train),
        affected=Affected(columns=list(found)[:MAX_COLUMNS_LISTED]),
        evidence={"cramers_v": dict(list(found.items())[:MAX_COLUMNS_LISTED])},
        remedy=imputation_remedy(case, list(found)),
    )


def _associations(case: Case, subject: Subject, missing: Array) -> dict[int, tuple[float, float]]:
    """Column -> Cramer's V of its holes and the label (in a regression: its quarter), and the p-value of none."""
    if case.is_regression:
        labels = np.searchsorted(np.quantile(subject.labels, [0.25, 0.5, 0.75]), subject.labels)
    else:
        labels = subject.labels
    found = {}
    for column in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        table = np.stack(
            [
                np.bincount(labels[(labels >= 0) & at], minlength=1 + labels.max())
                for at in (missing[:, column], ~missing[:, column])
            ]
        )
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1 and (table.sum(axis=1) > 0).all():
            found[int(column)] = (float(association(table, method="cramer")), float(chi2_contingency(table).pvalue))
    return found
