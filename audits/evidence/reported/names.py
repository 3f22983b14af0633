"""What somebody means who reports a metric by name: Keras's and scikit-learn's spellings, and their everyday forms."""

import re
from dataclasses import dataclass

from audits.artefacts import SplitName
from audits.evidence.reported.table import METRICS
from schemas.request import Task

# Readings, the usual one first, and the spellings, in lower case without separators, that may mean them.
_SPELLED: tuple[tuple[str, str], ...] = (
    ("accuracy", "accuracy acc accuracyscore binaryaccuracy categoricalaccuracy sparsecategoricalaccuracy"),
    # over all rows, every one of these is the share of right answers
    ("accuracy", "microf1 f1micro f1scoremicro microprecision precisionmicro microrecall recallmicro weightedrecall"),
    ("accuracy", "recallweighted top1 top1accuracy hammingscore exactmatch subsetaccuracy"),
    ("balanced_accuracy", "balancedaccuracy balancedaccuracyscore balacc bacc uar macrorecall recallmacro"),
    ("precision precision_macro precision_weighted accuracy", "precision precisionscore ppv positivepredictivevalue"),
    ("recall balanced_accuracy accuracy", "recall recallscore sensitivity tpr truepositiverate hitrate"),
    ("specificity", "specificity tnr truenegativerate selectivity"),
    ("negative_precision", "npv negativepredictivevalue"),
    ("f1 f1_macro f1_weighted accuracy", "f1 f1score fscore fmeasure f1measure"),
    ("f1", "f1binary binaryf1"),
    ("f1_macro", "macrof1 f1macro f1scoremacro macrof1score"),
    ("f1_weighted", "weightedf1 f1weighted f1scoreweighted weightedf1score"),
    ("precision_macro", "macroprecision precisionmacro"),
    ("precision_weighted", "weightedprecision precisionweighted"),
    ("mcc", "mcc matthewscorrcoef matthewscorrelation matthewscorrelationcoefficient phi"),
    ("cohen_kappa", "kappa cohenkappa cohenskappa cohenkappascore"),
    ("roc_auc roc_auc_weighted roc_auc_pooled", "auc rocauc aucroc auroc rocaucscore areaundercurve aucscore"),
    ("average_precision average_precision_pooled", "averageprecision averageprecisionscore ap aucpr prauc auprc"),
    ("top_5_accuracy", "topk topkaccuracy topkcategoricalaccuracy sparsetopkcategoricalaccuracy"),
    *((f"top_{k}_accuracy", f"top{k} top{k}accuracy top{k}categoricalaccuracy") for k in (2, 3, 5, 10)),
    ("log_loss", "logloss crossentropy bce binarycrossentropy categoricalcrossentropy nll"),
    ("log_loss", "sparsecategoricalcrossentropy crossentropyloss negativeloglikelihood"),
    ("log_loss brier_mean mse mae", "loss"),
    ("brier brier_mean", "brier brierscore brierscoreloss"),
    ("mae", "mae meanabsoluteerror"),
    ("mse brier_mean", "mse meansquarederror"),
    ("rmse", "rmse rootmeansquarederror"),
    ("mape mape_percent", "mape meanabsolutepercentageerror"),
    ("r2", "r2 r2score rsquared rsquare coefficientofdetermination"),
    ("explained_variance", "explainedvariance explainedvariancescore"),
    ("pearson", "pearson pearsonr correlation"),
    ("spearman", "spearman spearmanr rankcorrelation"),
)
SPELLINGS = {word: tuple(readings.split()) for readings, words in _SPELLED for word in words.split()}
PREFIXES: dict[str, SplitName] = {
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "train": "train",
    "training": "train",
}


@dataclass(frozen=True)
class Reading:
    """What a name means.

    Attributes:
        spelling: the name without prefix, separators and Keras's counter.
        split: that the name itself states, or None.
        metrics: keys of `METRICS` that it may mean; empty for a name that nobody knows.
    """

    spelling: str
    split: SplitName | None
    metrics: tuple[str, ...]


def read_name(name: str, task: Task, *, scores: bool) -> Reading:
    """What a reported metric's name means for this task.

    Args:
        name: with or without `val_`, in any case.
        task: of the audit.
        scores: whether the model gives probabilities.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.casefold()) if word]
    split = PREFIXES.get(words[0]) if len(words) > 1 else None
    words = words[1:] if split else words
    if len(words) > 1 and words[0] == "neg":  # scikit-learn's scorers turn errors around
        words = words[1:]
    spelling = "".join(words)
    if spelling not in SPELLINGS and len(words) > 1 and words[-1].isdigit():
        spelling = "".join(words[:-1])  # Keras counts metrics of the same name
    fitting = tuple(m for m in SPELLINGS.get(spelling, ()) if METRICS[m].applies(task, scores=scores))
    if fitting and METRICS[fitting[0]].tasks == ("binary",):
        fitting = fitting[:1]  # without further words, the positive class is meant
    return Reading(spelling, split, fitting)
