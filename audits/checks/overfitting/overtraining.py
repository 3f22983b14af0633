"""Training went on after the validation loss had turned up.

What it measures: on the history's smoothed validation loss, the relative rise from its minimum to its end, while the
    training loss does not rise; with Kendall's test for a trend on the tail and the end's distance from the minimum
    in standard errors, or with a level that held: the later losses stay many deviations above the minimum. And which
    epoch was exported, by computing again what was logged on the validation rows.
Why it matters: every epoch after the minimum has made the model worse on new data and better on paper.
When it is inconclusive: only some of the conditions hold, or the tail is shorter than `min_tail` epochs; or which
    epoch was exported cannot be told, and the model at hand shows no gap.
How to fix: stop early and restore the best weights; save a checkpoint at the best validation loss.
Reference: Prechelt, 1998, https://doi.org/10.1007/3-540-49430-8_3; Kendall, 1938,
    https://doi.org/10.1093/biomet/30.1-2.81
"""

from typing import cast

import numpy as np

from audits.evidence.case import Case
from audits.evidence.gap import honest_gap
from audits.evidence.training.exported import ExportedEpoch
from audits.evidence.training.history import History, history_of
from audits.results import CheckResult
from audits.statistics.trend import Divergence, divergence, visible_rise
from schemas.limits.overfitting import Gap, Overtraining
from schemas.report import Confirmation, Effect, Finding, Outcome, Remedy, Severity

CODE = "overfitting.overtraining"
CRITICAL_RISE = 0.5


def overtraining(case: Case) -> CheckResult:
    """Look for the turn in the history, and for the exported epoch."""
    limits = cast(Overtraining, case.limits[CODE])
    history = history_of(case)
    if history is None:
        return CheckResult.not_applicable("no history was given")
    if "val_loss" not in history.series:
        return CheckResult.not_applicable("the history holds no val_loss")
    losses = history.series["val_loss"]
    known = int(np.isfinite(losses).sum())
    if known < limits.min_tail + 2:
        return CheckResult.inconclusive(f"{known} epochs with a finite val_loss")
    turn = divergence(
        losses,
        history.series.get("loss"),
        min_rise=limits.min_rise,
        max_p=limits.max_p,
        min_z=limits.min_z,
        min_held=limits.min_held,
        min_tail=limits.min_tail,
    )
    if turn.verdict == "none":
        return _silent(history, turn, limits)
    exported = history.exported
    turned = f"the validation loss turned up after epoch {turn.best_epoch + 1}"
    best = float(np.nanmin(losses))
    # a fraction of the size, since the loss may be negative (a likelihood)
    if exported is not None and losses[exported.epoch] - best <= limits.min_rise * abs(best):
        return CheckResult.passed(reason=f"{turned}, but epoch {exported.epoch + 1} was exported")
    if turn.verdict == "suspect":
        return CheckResult.inconclusive(
            f"the validation loss rose by {turn.rise:.0%} after epoch {turn.best_epoch + 1}, over {turn.tail} "
            f"epochs: too few to tell"
        )
    if (exported is None or not exported.certain) and not _overfits(case):
        return CheckResult.inconclusive(
            f"{turned}; which epoch was exported cannot be told from what was logged, and the model at hand shows no "
            "material gap"
        )
    return CheckResult(
        Outcome.FAIL,
        finding=_finding(history, turn, limits),
        confirmation=_confirmation(case, turn, exported),
    )


def _silent(history: History, turn: Divergence, limits: Overtraining) -> CheckResult:
    smallest = max(limits.min_rise, visible_rise(history.series["val_loss"], limits.min_z))
    if not turn.train_falls and turn.rise > limits.min_rise:
        return CheckResult.passed(
            smallest=smallest, reason="the training loss rises too: training is unstable, which is no overfitting"
        )
    return CheckResult.passed(smallest=smallest, margin=max(CRITICAL_RISE, limits.min_rise))


def _overfits(case: Case) -> bool:
    gap = honest_gap(case)
    return gap.interval[0] > gap.margin(cast(Gap, case.limits["overfitting.generalization_gap"]))


def _finding(history: History, turn: Divergence, limits: Overtraining) -> Finding:
    exported, level = history.exported, history.level_metric
    which = f"epoch {exported.epoch + 1} was exported" if exported is not None else "which was exported is not known"
    spared = f" {level} has not suffered: the probabilities became worse, not the decisions." if level else ""
    return Finding(
        code=CODE,
        family="overfitting",
        severity=Severity.CRITICAL if turn.rise >= CRITICAL_RISE and not level else Severity.WARNING,
        title="Training went on after the validation loss had turned up",
        summary=f"The validation loss was lowest at epoch {turn.best_epoch + 1} of {history.epochs} and has risen by "
        f"{turn.rise:.0%} since; {which}.{spared}",
        effect=Effect(name="relative_rise_of_validation_loss", estimate=turn.rise, limit=limits.min_rise),
        p_value=turn.tau_p,
        n=history.epochs,
        evidence={
            "best_epoch": turn.best_epoch + 1,
            "exported_epoch": None if exported is None else exported.epoch + 1,
            "exported_match": None if exported is None else exported.match,
            "exported_by": [] if exported is None else list(exported.by),
            "epochs": history.epochs,
            "tail": turn.tail,
            "z": turn.z,
            "held": turn.held,
            "level_metric": level,
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


def _confirmation(case: Case, turn: Divergence, exported: ExportedEpoch | None) -> Confirmation:
    """Confirmed when the exported epoch is known to lie after the turn; the checkpoint itself is not at hand."""
    gap = honest_gap(case)
    return Confirmation(
        confirmed=exported is not None and exported.certain and exported.epoch > turn.best_epoch,
        intervention="found the exported epoch by computing again what was logged on the validation rows",
        metric=case.scorer.metric,
        before=gap.train,
        after=gap.validation,
        n=gap.n,
        by_exclusion=True,
    )
