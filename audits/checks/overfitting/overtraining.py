"""Training went on after the validation loss had turned up.

What it measures: on the history's smoothed validation loss, the relative rise from its minimum to its end,
    Kendall's test for a trend on the tail, the end's distance from the minimum in standard errors and the length
    of the tail, while the training loss does not rise; and which epoch was exported, by recomputing the loss.
Why it matters: every epoch after the minimum has made the model worse on new data and better on paper.
When it is inconclusive: only some of the conditions hold, or the tail is shorter than `min_tail` epochs.
How to fix: stop early and restore the best weights; save a checkpoint at the best validation loss.
Reference: Prechelt, 1998, https://doi.org/10.1007/3-540-49430-8_3; Kendall, 1938,
    https://doi.org/10.1093/biomet/30.1-2.81
"""

from typing import cast

import numpy as np

from audits.evidence.case import Case
from audits.evidence.gap import honest_gap
from audits.results import CheckResult
from audits.statistics.trend import Divergence, divergence
from schemas.limits.overfitting import Overtraining
from schemas.report import Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "overfitting.overtraining"
# Relative differences of the logged and the recomputed loss: rounding alone, and rows or batches left out.
SAME_LOSS = 1e-4
EPOCH_TOLERANCE = 0.02
CRITICAL_RISE = 0.5


def overtraining(case: Case) -> CheckResult:
    """Look for the turn in the history, and for the exported epoch."""
    limits = cast(Overtraining, case.limits[CODE])
    history = case.history
    if history is None:
        return CheckResult.not_applicable("no history was given")
    if "val_loss" not in history:
        return CheckResult.not_applicable("the history holds no val_loss")
    losses = history["val_loss"]
    finite = int(np.isfinite(losses).sum())
    if finite < limits.min_tail + 2:
        return CheckResult.inconclusive(f"{finite} epochs with a finite val_loss")
    turn = divergence(
        np.asarray(losses),
        np.asarray(history["loss"]) if "loss" in history else None,
        min_rise=limits.min_rise,
        max_p=limits.max_p,
        min_z=limits.min_z,
        min_tail=limits.min_tail,
    )
    if turn.verdict == "none":
        return CheckResult.passed(smallest=limits.min_rise)
    exported = exported_epoch(case, losses)
    if exported is not None and losses[exported] <= (1 + limits.min_rise) * float(np.nanmin(losses)):
        return CheckResult.passed(
            reason=f"the validation loss turned up after epoch {turn.best_epoch + 1}, but epoch {exported + 1} "
            f"was exported"
        )
    if turn.verdict == "suspect":
        return CheckResult.inconclusive(
            f"the validation loss rose by {turn.rise:.0%} after epoch {turn.best_epoch + 1}, over {turn.tail} "
            f"epochs: too few to tell"
        )
    return CheckResult(
        Outcome.FAIL,
        finding=_finding(case, turn, exported, limits),
        confirmation=_confirmation(case, turn, exported),
    )


def exported_epoch(case: Case, losses: list[float]) -> int | None:
    """The epoch whose logged validation loss is that of the model at hand, or None where none is close.

    Only when the logged loss is the one that we can compute: cross-entropy, or squared error.
    """
    computed = float(np.nanmean(case.scorer.losses(case.validation.labels, case.validation.predictions)))
    logged = np.asarray(losses, dtype=np.float64)
    distance = np.abs(logged - computed) / max(abs(computed), 1e-12)
    for tolerance in (SAME_LOSS, EPOCH_TOLERANCE):
        close = np.flatnonzero(distance <= tolerance)
        if len(close):
            # of several, the last: training exports its end unless told otherwise
            return int(close[-1])
    return None


def _finding(case: Case, turn: Divergence, exported: int | None, limits: Overtraining) -> Finding:
    which = f"epoch {exported + 1}" if exported is not None else "a later epoch"
    epochs = len(cast("dict[str, list[float]]", case.history)["val_loss"])
    return Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if turn.rise >= CRITICAL_RISE else Severity.WARNING,
        title="Training went on after the validation loss had turned up",
        summary=f"The validation loss was lowest at epoch {turn.best_epoch + 1} of {epochs} and has risen by "
        f"{turn.rise:.0%} since; {which} was exported.",
        effect=Effect(name="relative_rise_of_validation_loss", estimate=turn.rise, limit=limits.min_rise),
        p_value=turn.tau_p,
        n=epochs,
        evidence={
            "best_epoch": turn.best_epoch + 1,
            "exported_epoch": None if exported is None else exported + 1,
            "epochs": epochs,
            "tail": turn.tail,
            "z": turn.z,
        },
        remedy=Remedy(
            text=f"Train again and stop near epoch {turn.best_epoch + 1}, with the best weights restored; or "
            f"export the "
            "checkpoint of that epoch if you have it.",
            code=(
                "import keras\n\n"
                "def callbacks(path='best.keras'):\n"
                "    return [\n"
                "        keras.callbacks.EarlyStopping('val_loss', patience=5, restore_best_weights=True),\n"
                "        keras.callbacks.ModelCheckpoint(path, monitor='val_loss', save_best_only=True),\n"
                "    ]\n"
            ),
        ),
    )


def _confirmation(case: Case, turn: Divergence, exported: int | None) -> Confirmation:
    """Confirmed when the exported epoch is known to lie after the turn; the checkpoint itself is not at hand."""
    gap = honest_gap(case)
    return Confirmation(
        confirmed=exported is not None and exported > turn.best_epoch,
        intervention="the exported epoch was found by recomputing the validation loss",
        metric=case.scorer.metric,
        before=gap.train,
        after=gap.validation,
        n=gap.n,
        by_exclusion=True,
    )
