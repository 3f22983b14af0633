"""What is told of categories that are read otherwise: the intervention, the details and the code."""

from collections.abc import Hashable, Mapping
from typing import Any

from pydantic import JsonValue

from audits.evidence.case import Case
from audits.evidence.internals import OutOfVocabulary
from audits.repairs.categories import texts
from audits.repairs.snippets import constant, first_of
from schemas.report import Remedy

MAX_LISTED = 50
Changes = Mapping[str, Mapping[Hashable, Any]]


def sentence_of(changes: Changes, sentences: texts.Sentences, speller: str = "the training data spell") -> str:
    """The rest of "when we ..."."""
    parts = []
    for name, mapping in list(changes.items())[:3]:
        pairs = first_of([f"{_plain(old)!r} as {_plain(new)!r}" for old, new in mapping.items()])
        parts.append(f"{pairs} in {name}")
    if len(changes) > 3:
        parts.append(f"the codes of {len(changes) - 3} more columns likewise")
    if sentences:
        parts.append(f"the words of {', '.join(sentences.columns)} as {speller} them")
    return "read " + " and ".join(parts)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def listed(mapping: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(_plain(old)): _plain(new) for old, new in list(mapping.items())[:MAX_LISTED]}


def remedy_of(case: Case, changes: Changes, sentences: texts.Sentences) -> Remedy:
    """Advice, and code that reads the data of the user's layout as meant."""
    text = (
        "Encode every split with the encoder that was fitted on the training data, and save it beside the model, or "
        "put a lookup layer into the model. Until then, the code below reads the categories as the training data mean "
        "them."
    )
    if not changes:
        return Remedy(text=text, code=texts.REMEDY.replace("<columns>", constant("COLUMNS", list(sentences.columns))))
    if case.space.layout != "table":
        units = {
            case.space.units.index(name): {old: _plain(new) for old, new in mapping.items()}
            for name, mapping in changes.items()
        }
        code = (
            "import numpy as np\n\n"
            + constant("READ_AS", units, "position: what each code means")
            + "def recode(x: np.ndarray) -> np.ndarray:\n"
            "    result = np.array(x, copy=True)\n"
            "    for position, meanings in READ_AS.items():\n"
            "        for code, meaning in meanings.items():\n"
            "            result[np.isclose(x[:, position], code), position] = meaning\n"
            "    return result\n"
        )
        return Remedy(text=text, code=code)
    named = {name: {_plain(old): _plain(new) for old, new in mapping.items()} for name, mapping in changes.items()}
    code = (
        "import pandas as pd\n\n"
        + constant("READ_AS", named, "column: what each category means")
        + "def recode(frame: pd.DataFrame) -> pd.DataFrame:\n"
        "    return frame.assign(**{c: frame[c].map(lambda v, m=m: m.get(v, v)) for c, m in READ_AS.items()})\n"
    )
    return Remedy(text=text, code=code)


def vocabulary_of(one: OutOfVocabulary) -> dict[str, JsonValue]:
    """For the evidence."""
    return {
        "column": one.column,
        "layer": one.vocabulary.name,
        "known_to_the_model": one.vocabulary.size,
        "values": one.n,
        "unknown": one.unknown,
        "unknown_but_for_case_and_blanks": one.respelled,
        "most_frequent": {value[:40]: count for value, count in one.examples},
    }
