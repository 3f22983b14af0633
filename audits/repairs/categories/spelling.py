"""The training value that a text means, where it is written otherwise.

Each rule is tried on what the rules before it left over, from the certain to the likely: the same text but for case,
accents, punctuation, markup or a wrong decoding; the same number; the same text within a frame ("cat_3" for "3");
an abbreviation; a slip of the pen. A text with two readings has none.
"""

import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

Mapped = dict[str, str]

# A slip must be small against the word: one letter in five.
LETTERS_PER_SLIP = 5
MAX_SLIPS = 3
# Beyond so many pairs of texts, slips are not looked for: their search is quadratic.
MAX_PAIRS = 40_000
MIN_ABBREVIATION = 3
_WORDS = re.compile(r"\w+|[^\w\s]+")
_TRUTH = {"true": "1", "yes": "1", "y": "1", "t": "1", "false": "0", "no": "0", "n": "0", "f": "0"}


def mended_encoding(text: str) -> str:
    """UTF-8 that was read as Windows-1252 or Latin-1, read rightly; markup entities resolved."""
    text = html.unescape(text)
    if text.isascii():
        return text
    for codec in ("cp1252", "latin-1"):
        try:
            return text.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
    return text


def plain(text: str) -> str:
    """The text without what spellings differ in: case, accents, blanks, punctuation, markup, encoding."""
    if text.isascii() and text.isalnum():  # most words are plain but for their case, and found out so far faster
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", mended_encoding(text))
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().strip(" \t\n'\"")
    # a sign or a comparison in front of a number is part of the name: "-1", "<=50K"
    sign = re.match(r"[-+<>=]+(?=[\d.])", letters)
    return (sign[0] if sign else "") + re.sub(r"[\W_]+", "", letters)


def number(text: str) -> float | None:
    """The number that a text holds: "3.0", "1,234.5", "1.234,5", "12 kg", "true"; None where it holds none."""
    bare = text.strip().casefold()
    bare = _TRUTH.get(bare, bare)
    match = re.fullmatch(r"[^\d\W]{0,3}[$€£]?\s*([-+]?[\d.,' ]*\d)\s*[^\d.,]{0,6}", bare)
    if match is None:
        return None
    digits = re.sub(r"[' ]", "", match[1])
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.replace(",", "")
    elif "," in digits:
        digits = digits.replace(".", "").replace(",", ".")
    try:
        value = float(digits)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def respelling(known: Mapping[str, int], unseen: Sequence[str], present: Iterable[str] = ()) -> Mapped:
    """What unseen texts mean among the known ones; those that mean nothing known are left out.

    Args:
        known: training values and how often each occurs.
        unseen: validation values that the training data never hold.
        present: all validation values. Those that are known too are taken: an abbreviation or a slip cannot mean them.
    """
    if not known or not unseen:
        return {}
    left, found = list(dict.fromkeys(unseen)), Mapped()
    free = [value for value in known if value not in set(present)]
    for rule, targets in ((_same_number, known), (_same_form, known), (_framed, known), (_abbreviated, free)):
        found |= rule(targets, left)
        left = [value for value in left if value not in found]
    return found | _slips(free, left)


def _unique(targets: Iterable[str], form: Callable[[str], object]) -> dict[object, str]:
    """Form -> the only target that has it."""
    forms = [(form(target), target) for target in targets]
    counts = Counter(key for key, _ in forms)
    return {key: target for key, target in forms if counts[key] == 1 and key not in {None, ""}}


def _same_form(targets: Iterable[str], values: Sequence[str]) -> Mapped:
    by_form = _unique(targets, plain)
    return {value: by_form[plain(value)] for value in values if plain(value) in by_form}


def _same_number(targets: Iterable[str], values: Sequence[str]) -> Mapped:
    """The same number with other digits: "3.0" for "3"."""
    by_number = _unique(targets, _as_float)
    return {value: by_number[_as_float(value)] for value in values if _as_float(value) in by_number}


def _as_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def as_cast(known: Iterable[str], unseen: Sequence[str]) -> Mapped:
    """Numbers in another dress ("1,5", "12 kg", "true") as the known texts, all numbers, write them.

    Empty where the known texts are no numbers, some unseen text is none, all are plain numbers already, or all are
    known texts but for case and blanks ("YES" for "yes"): the type is the same then, the spelling is not.
    """
    targets = list(known)
    bare_targets = {target.strip().casefold() for target in targets}
    if all(value.strip().casefold() in bare_targets for value in unseen):
        return {}
    if not targets or any(_as_float(value) is None and _TRUTH.get(value.casefold()) is None for value in targets):
        return {}
    numbers = {value: number(value) for value in unseen}
    if all(_as_float(value) is not None for value in unseen) or any(value is None for value in numbers.values()):
        return {}
    by_number = _unique(targets, number)
    return {text: by_number.get(value, f"{value:g}") for text, value in numbers.items()}


def _framed(targets: Iterable[str], values: Sequence[str]) -> Mapped:
    """All values carry something in front or behind that the targets do not, or the other way round."""
    targets = list(targets)
    if len(values) < 2 or len(targets) < 2:
        return {}
    bare_targets = _unique(targets, _without_frame(targets))
    bare = _without_frame(values)
    found = {value: bare_targets[bare(value)] for value in values if bare(value) in bare_targets}
    return found if len(found) == len(values) else {}


def _without_frame(values: Sequence[str]) -> Callable[[str], str]:
    """What is left of a value without the prefix and the suffix that all of them share."""
    forms = [value.strip().casefold() for value in values]
    start = _shared_start(forms)
    end = _shared_start([form[start:][::-1] for form in forms])
    return lambda value: value.strip().casefold()[start : len(value.strip()) - end]


def _shared_start(forms: Sequence[str]) -> int:
    """How many letters all of them begin with."""
    least, greatest = min(forms), max(forms)
    return next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))


def _abbreviated(targets: Iterable[str], values: Sequence[str]) -> Mapped:
    """Values that begin exactly one target, or that exactly one target begins; very short ones only if all do."""
    targets, found = list(targets), Mapped()
    for value in values:
        mine = "" if any(c.isdigit() for c in value) else plain(value)
        long = [t for t in targets if mine and (plain(t).startswith(mine) or (plain(t) and mine.startswith(plain(t))))]
        if len(long) == 1:
            found[value] = long[0]
    if len(set(found.values())) < len(found):
        return {}
    if len(found) == len(values) > 1:
        return found
    return {v: t for v, t in found.items() if min(len(plain(v)), len(plain(t))) >= MIN_ABBREVIATION}


def _slips(targets: Sequence[str], values: Sequence[str]) -> Mapped:
    """Values that are a few letters away from one target and farther from all others."""
    if len(targets) * len(values) > MAX_PAIRS:
        return {}
    found = Mapped()
    forms = {target: plain(target) for target in targets}
    for value in values:
        mine = plain(value)
        allowed = min(MAX_SLIPS, len(mine) // LETTERS_PER_SLIP + (len(mine) >= 4 and len(mine) < LETTERS_PER_SLIP))
        near = [t for t, form in forms.items() if allowed and _distance(mine, form, allowed) <= allowed]
        if len(near) == 1 and not any(c.isdigit() for c in mine):
            found[value] = near[0]
    return found if len(set(found.values())) == len(found) else {}


def _distance(a: str, b: str, limit: int) -> int:
    """Edit distance with exchanges of neighbours (Damerau, 1964), or more than `limit` where it exceeds it."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            step = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                step = min(step, rows[-2][j - 2] + 1)
            row.append(step)
        if min(row) > limit:
            return limit + 1
        rows.append(row)
    return rows[-1][-1]


def words(text: str) -> list[str]:
    """Words, and stretches of punctuation."""
    return _WORDS.findall(text)


class WordSpelling:
    """Sentences word by word as the training data spell them.

    Attributes:
        known: training words and how often each occurs.
    """

    def __init__(self, texts: Iterable[str], by_form: Mapping[str, str] | None = None) -> None:
        self.known: Counter[str] = Counter()
        for text in texts:
            self.known.update(words(text))
        # the most frequent spelling wins
        spelled = reversed(self.known.most_common())
        self._by_form = dict(by_form or {plain(word): word for word, _ in spelled if plain(word)})

    def unknown_share(self, texts: Iterable[str]) -> float:
        """Share of the words that the training data never hold; 0 without words."""
        counts = Counter(word for text in texts for word in words(text))
        # each word once: to find what is plain costs a hundred times as much as to count
        spelled = {word: n for word, n in counts.items() if plain(word)}
        total = sum(spelled.values())
        return sum(n for word, n in spelled.items() if word not in self.known) / total if total else 0.0

    def at_random(self, rng: np.random.Generator) -> "WordSpelling":
        """Every word that is spelled otherwise becomes some other training word."""
        spelled = list(self._by_form.values())
        shuffled = {form: spelled[i] for form, i in zip(self._by_form, rng.permutation(len(spelled)), strict=True)}
        return WordSpelling(self.known.elements(), shuffled)

    def __call__(self, text: str) -> str:
        # letters and accents written apart are one letter
        mended = unicodedata.normalize("NFC", mended_encoding(text)) if self.unknown_share([text]) else text
        return re.sub(_WORDS, lambda match: self._spelled(match[0]), mended)

    def _spelled(self, word: str) -> str:
        return word if word in self.known else self._by_form.get(plain(word), word)
