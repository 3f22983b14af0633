"""Categories and words that the model has learned nothing of, and that mean none that it knows: what do they cost?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from audits.artefacts import Array
from audits.evidence.case import Case
from audits.evidence.internals import out_of_vocabulary
from audits.repairs.categories.texts import holds_sentences
from audits.repairs.categories.words import vocabulary_of
from audits.repairs.reliance import imitate, placed
from audits.results import CheckResult
from schemas.limits.preprocessing import CategoryMismatch
from schemas.report import Affected, Effect, Finding, Outcome, Remedy, Severity

MAX_LISTED = 20
MAX_ROWS_NAMED = 100
# Fewer rows with unseen categories are an anecdote.
MIN_ROWS = 5
HARDER_LEVEL = 0.05
OF_TRAINING = "categories that the training data never hold"
NO_WORD = "\ufffd\ufffd"


@dataclass(frozen=True)
class Unseen:
    """Values of a column of texts that the model has learned nothing of.

    Attributes:
        column: of texts.
        rows: (rows,) of the mended validation rows that hold some.
        values: the most frequent of them.
        write: puts as many of them into the training rows' values.
        are_words: single words of sentences, not whole values.
    """

    column: str
    rows: Array
    values: list[str]
    write: Callable[[Array], Array]
    are_words: bool = False


def unseen_categories(case: Case, code: str, limits: CategoryMismatch) -> CheckResult | None:
    """An observation, or a finding where they cost: on training rows that get them, and on the rows that hold them."""
    unseen = [one for one in (*_categories(case), *_words(case, limits)) if one.rows.sum() >= MIN_ROWS]
    rows = np.any([one.rows for one in unseen], axis=0) if unseen else np.zeros(len(case.mended), dtype=bool)
    share = float(rows.mean())
    if share < limits.min_unseen_share:
        return None
    columns = [one.column for one in unseen]
    made = imitate(case, {one.column: one.write for one in unseen}, "unseen categories")
    loud = made.interval[0] > limits.min_unseen_cost and _are_harder(case, rows)
    listed = "; ".join(f"{', '.join(map(repr, one.values[:3]))} in {one.column}" for one in unseen[:3])
    what = "words that the model does not know" if all(one.are_words for one in unseen) else OF_TRAINING
    told = f"goes from {made.before:.2f} to {made.after:.2f}"
    finding = Finding(
        code=code,
        family="preprocessing",
        severity=Severity.WARNING if loud else Severity.INFO,
        title=what[0].upper() + what[1:],
        summary=f"{int(rows.sum())} of {len(rows)} validation rows hold {what} ({listed}). When the same share "
        f"of training rows is given these values, {case.scorer.title} {told}.",
        effect=Effect(name="share_of_rows_with_unseen_categories", estimate=share, limit=limits.min_unseen_share),
        n=len(rows),
        affected=Affected(
            columns=columns,
            rows=[int(i) for i in case.mended.index[rows][:MAX_ROWS_NAMED]],
            share_of_rows=share,
        ),
        evidence={
            "unseen": {one.column: list(one.values) for one in unseen},
            "vocabularies": [
                vocabulary_of(one) for one in out_of_vocabulary(case, case.mended) if one.column in columns
            ],
        },
        remedy=OF_WORDS if all(one.are_words for one in unseen) else _remedy(columns),
    )
    if not loud:
        return CheckResult(Outcome.PASS, finding=finding, ranks=False)
    proof = made.confirmation(f"write the unseen categories of {', '.join(columns)} into as many training rows")
    return CheckResult(Outcome.FAIL, finding=finding, confirmation=proof, recovered=made.explained())


def _categories(case: Case) -> Iterator[Unseen]:
    """Values of columns of categories that the training data never hold, nor the model's vocabulary."""
    known = {one.column: set(one.vocabulary.tokens) for one in out_of_vocabulary(case, case.mended)}
    for name in case.space.texts:
        ours, theirs = (cast("pd.DataFrame", s.rows)[name] for s in (case.train.sample, case.mended))
        if holds_sentences(ours):
            continue
        mask = np.asarray(theirs.notna() & ~theirs.isin(set(ours.dropna()) | known.get(name, set())), dtype=bool)
        if mask.any():
            values = theirs.to_numpy(dtype=object)[mask]
            rng = case.rng(f"unseen in {name}")
            hit = rng.random(len(ours)) < mask.mean()
            yield Unseen(name, mask, _most_frequent(values), placed(hit, rng.choice(values, int(hit.sum()))))


def _words(case: Case, limits: CategoryMismatch) -> Iterator[Unseen]:
    """Words of sentences that the model's vocabulary lacks, where they are more frequent than in training."""
    both = zip(out_of_vocabulary(case, case.train.sample), out_of_vocabulary(case, case.mended), strict=True)
    for ours, theirs in both:
        more = theirs.share - ours.share
        if not theirs.vocabulary.is_split or theirs.column not in case.space.texts or more < limits.max_unknown_words:
            continue
        rate = more / (1 - ours.share)
        yield Unseen(
            theirs.column,
            theirs.rows,
            [word[:40] for word, _ in theirs.examples],
            partial(_without_words, rate=rate, rng=case.rng(f"unknown words in {theirs.column}")),
            are_words=True,
        )


def _without_words(texts: Array, *, rate: float, rng: np.random.Generator) -> Array:
    """The texts with a share of their words replaced by one that no vocabulary holds."""
    changed = np.empty(len(texts), dtype=object)
    for row, text in enumerate(texts):
        words = [] if text is None else str(text).split()
        changed[row] = text if text is None else " ".join(NO_WORD if rng.random() < rate else word for word in words)
    return changed


def _are_harder(case: Case, rows: Array) -> bool:
    """Whether the model's loss on these validation rows exceeds that on the others."""
    losses = case.scorer.losses(case.mended.labels, case.mended.predictions)
    ours, theirs = (losses[mask & np.isfinite(losses)] for mask in (rows, ~rows))
    if min(len(ours), len(theirs)) < MIN_ROWS:
        return len(ours) >= MIN_ROWS  # where all rows hold unseen categories there are no others
    return bool(ttest_ind(ours, theirs, equal_var=False, alternative="greater").pvalue < HARDER_LEVEL)


def _most_frequent(values: Array) -> list[str]:
    counts = pd.Series(values).value_counts()
    return [str(value)[:40] for value in counts.index[:MAX_LISTED]]


OF_WORDS = Remedy(
    text="Find out what the new words are: another language, other spelling, other preprocessing of the texts, or a "
    "new subject. Preprocess both splits alike; train on texts like these, and adapt the vocabulary to them. The code "
    "below counts the words that the training texts never hold.",
    code="import re\nfrom collections import Counter\n\nimport pandas as pd\n\n"
    "def new_words(train: pd.Series, texts: pd.Series, most: int = 50) -> list[tuple[str, int]]:\n"
    "    known = {word for text in train.dropna() for word in re.findall(r'\\w+', text.lower())}\n"
    "    counts = Counter(word for text in texts.dropna() for word in re.findall(r'\\w+', text.lower()))\n"
    "    return [(word, n) for word, n in counts.most_common() if word not in known][:most]\n",
)


def _remedy(columns: list[str]) -> Remedy:
    return Remedy(
        text="Find out where these categories come from. If they are other names of known ones, map them; if they are "
        "new, train on rows that hold them, and give rare categories one common name so that the model has learned "
        "what to do with a new one.",
        code="import pandas as pd\n\n"
        f"COLUMNS = {columns!r}\n\n"
        "def rare_as_other(train: pd.DataFrame, frame: pd.DataFrame, least: int = 20) -> pd.DataFrame:\n"
        "    changed = {}\n"
        "    for column in COLUMNS:\n"
        "        counts = train[column].value_counts()\n"
        "        common = counts.index[counts >= least]\n"
        "        changed[column] = frame[column].where(frame[column].isin(common), 'other')\n"
        "    return frame.assign(**changed)\n",
    )
