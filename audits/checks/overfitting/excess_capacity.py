"""The model has many more parameters than there are examples, and a gap.

What it measures: trained parameters per training row, and per label to be explained (rows times classes), beside
    the honest gap between training and validation; the spectra of large weight matrices as supporting evidence.
Why it matters: such a network can learn its rows by heart; whether it did, the gap says, and not the count.
When it is inconclusive: the number of parameters cannot be told, or fewer than 30 validation rows.
How to fix: a smaller network, more rows, or regularisation; see first what the checks of memorisation and of the
    gap say, since large networks often generalise well.
Reference: Zhang et al., 2017, https://arxiv.org/abs/1611.03530; Belkin et al., 2019,
    https://doi.org/10.1073/pnas.1903070116
"""

from typing import cast

from pydantic import JsonValue

from audits.evidence.case import Case
from audits.evidence.gap import MIN_GAP_ROWS, honest_gap
from audits.results import CheckResult
from schemas.limits.overfitting import ExcessCapacity
from schemas.report import Effect, Finding, Outcome, Remedy, Severity

CODE = "overfitting.excess_capacity"


def excess_capacity(case: Case) -> CheckResult:
    """An observation beside a material gap; a ratio alone proves nothing."""
    limits = cast(ExcessCapacity, case.limits[CODE])
    parameters = case.description.parameters
    if parameters is None:
        return CheckResult.inconclusive("the number of parameters cannot be told from the graph")
    if len(case.mended) < MIN_GAP_ROWS:
        return CheckResult.inconclusive(f"{len(case.mended)} of {MIN_GAP_ROWS} validation rows")
    per_row = parameters / case.train.n
    per_label = per_row / max(1, case.labels.n_classes)
    gap = honest_gap(case)
    low, high = gap.interval
    if per_row <= limits.max_parameters_per_row:
        return CheckResult.passed(smallest=limits.max_parameters_per_row)
    if low <= gap.margin(limits):
        smallest = gap.margin(limits) + (high - low) / 2
        return CheckResult.passed(
            smallest=smallest, reason=f"{per_row:.0f} parameters a training row, and no material gap"
        )
    finding = Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.INFO,
        title="Many more parameters than training rows",
        summary=f"The model has {parameters:,} trained parameters for {case.train.n:,} training rows, {per_row:.0f} a "
        f"row, and its {case.scorer.title} is {gap.estimate:.2f} lower on the validation rows.",
        effect=Effect(name="parameters_per_training_row", estimate=per_row, limit=limits.max_parameters_per_row),
        n=case.train.n,
        evidence={
            "parameters": parameters,
            "parameters_per_row": per_row,
            "parameters_per_label": per_label,
            "gap": gap.estimate,
            "gap_interval": list(gap.interval),
            "spectra": _spectra(case),
        },
        remedy=_remedy(case, parameters, limits),
    )
    return CheckResult(Outcome.PASS, finding=finding, ranks=False)


def _spectra(case: Case) -> JsonValue:
    """Supporting evidence: there is no null distribution for small networks."""
    weights = () if case.internals is None else case.internals.weights
    return [
        {"name": one.name, "shape": list(one.shape), "power_law_alpha": one.alpha, "stable_rank": one.stable_rank}
        for one in weights
        if one.stable_rank is not None
    ]


def _remedy(case: Case, parameters: int, limits: ExcessCapacity) -> Remedy:
    wanted = max(1, int(limits.max_parameters_per_row * case.train.n))
    return Remedy(
        text="Try a network of about as many parameters as the limit allows, with dropout and early stopping, and keep "
        "it if the validation metric does not fall.",
        code=(
            "import keras\n\n"
            f"ROWS, PARAMETERS_NOW, PARAMETERS_WANTED = {case.train.n}, {parameters}, {wanted}\n\n"
            "def smaller_network(inputs: int, outputs: int) -> keras.Model:\n"
            "    units = max(4, PARAMETERS_WANTED // (inputs + outputs + 1))\n"
            "    return keras.Sequential([\n"
            "        keras.layers.Input((inputs,)),\n"
            "        keras.layers.Dense(min(units, 64), activation='relu'),\n"
            "        keras.layers.Dropout(0.3),\n"
            "        keras.layers.Dense(outputs),\n"
            "    ])\n"
        ),
    )
