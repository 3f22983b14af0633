"""Columns of texts in the training's spelling: categories value by value, sentences word by word."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from audits.artefacts import Rows
from audits.evidence.case import Case, Subject
from audits.repairs.categories.spelling import WordSpelling, respelling, words

# From so many words in the middle text, and so few repetitions, a column holds sentences.
WORDS_OF_A_SENTENCE = 3
DISTINCT_SENTENCES = 0.5
MAX_SENTENCES = 3_000

REMEDY = """\
import html
import re
import unicodedata
from collections import Counter

import pandas as pd

<columns>def plain(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word)
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()

def mend(text: str) -> str:
    text = html.unescape(text)
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text

def respell(train: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    changed = {}
    for column in COLUMNS:
        counts = Counter(word for text in train[column].dropna() for word in re.findall(r"\\w+", text))
        known = {plain(word): word for word, _ in reversed(counts.most_common())}
        changed[column] = frame[column].map(
            lambda text: re.sub(
                r"\\w+", lambda m: m[0] if m[0] in counts else known.get(plain(m[0]), m[0]), mend(text)
            ),
            na_action="ignore",
        )
    return frame.assign(**changed)
"""


def holds_sentences(column: "pd.Series[Any]") -> bool:
    """Whether the texts are sentences rather than categories."""
    known = column.dropna()[:MAX_SENTENCES]
    if not len(known) or known.nunique() < DISTINCT_SENTENCES * len(known):
        return False
    return float(np.median([len(words(text)) for text in known])) >= WORDS_OF_A_SENTENCE


def respelled_columns(case: Case, reference: Subject, subject: Subject) -> dict[str, dict[Hashable, Any]]:
    """Column -> unseen category -> the training category that it spells."""
    found: dict[str, dict[Hashable, Any]] = {}
    for name in case.space.texts:
        ours, theirs = (cast("pd.DataFrame", s.rows)[name] for s in (reference, subject))
        if holds_sentences(ours):
            continue
        known = {str(value): int(count) for value, count in ours.value_counts().items()}
        present = theirs.dropna().unique()
        mapping = respelling(known, [value for value in present if value not in known], present)
        if mapping:
            found[name] = cast("dict[Hashable, Any]", mapping)
    return found


def at_random(
    reference: Subject, rows: Rows, changes: Mapping[str, Mapping[Hashable, Any]], rng: np.random.Generator
) -> Rows:
    """The rows in which the same cells hold training categories drawn at random, as frequent as in training.

    Cell by cell, since among few categories another consistent reading may serve a model as well as the right one.
    """
    if not changes:
        return rows
    frame = cast("pd.DataFrame", rows)
    changed: dict[str, Any] = {}
    for name, mapping in changes.items():
        known = cast("pd.DataFrame", reference.rows)[name].dropna().to_numpy(dtype=object)
        values = frame[name].to_numpy(dtype=object).copy()
        hit = np.array([value in mapping for value in values], dtype=bool)
        values[hit] = rng.choice(known, int(hit.sum()))
        changed[name] = values
    return frame.assign(**changed)


@dataclass(frozen=True)
class Sentences:
    """Columns of sentences in which the training spells the words otherwise.

    Attributes:
        columns: column -> how the training spells.
        unknown: column -> shares of unknown words: as they are, respelled, and between halves of the training.
    """

    columns: dict[str, WordSpelling] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.columns)

    def apply(self, rows: Rows) -> Rows:
        if not self.columns:
            return rows
        frame = cast("pd.DataFrame", rows)
        changed: dict[str, Any] = {
            n: [v if v is None else spelling(v) for v in frame[n]] for n, spelling in self.columns.items()
        }
        return frame.assign(**changed)

    def at_random(self, rng: np.random.Generator) -> "Sentences":
        """The same words spelled as others."""
        return Sentences({name: spelling.at_random(rng) for name, spelling in self.columns.items()})


def respelled_sentences(case: Case, reference: Subject, subject: Subject, limit: float) -> Sentences:
    """The columns in which far more words are unknown than between halves of the training, and fewer once respelled."""
    columns: dict[str, WordSpelling] = {}
    unknown: dict[str, Any] = {}
    for name in case.space.texts:
        ours, theirs = (cast("pd.DataFrame", s.rows)[name].dropna() for s in (reference, subject))
        if not len(theirs) or not holds_sentences(ours):
            continue
        order = case.rng("sentences").permutation(len(ours))[: 2 * MAX_SENTENCES]
        by_chance = WordSpelling(ours.iloc[order[::2]]).unknown_share(ours.iloc[order[1::2]])
        spelling, some = WordSpelling(ours), theirs.iloc[:MAX_SENTENCES]
        before = spelling.unknown_share(some)
        if before <= by_chance + limit:
            continue
        after = spelling.unknown_share([spelling(text) for text in some])
        if after < (before + by_chance) / 2:
            columns[name] = spelling
            unknown[name] = {"as_they_are": before, "respelled": after, "between_training_halves": by_chance}
    return Sentences(columns, unknown)
