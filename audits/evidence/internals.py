"""The model's own statistics, vocabularies and tables, held against the rows."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audits.artefacts import Array, ModelInternals, Normaliser, Place, Vocabulary
from audits.evidence.binding import Binding
from audits.evidence.case import Case, Subject
from audits.evidence.features import FeatureSpace

# Outputs this near to 0 or 1 are saturated.
SATURATED = 0.001
MIN_SATURATION = 0.2
MAX_EXAMPLES = 10
MAX_LISTED = 20
# What TextVectorization takes out by default.
_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")

Part = TypeVar("Part")


@dataclass(frozen=True)
class LayerScale:
    """What the model expects of a unit: the statistics that it takes out of it."""

    mean: float
    sd: float
    layer: Normaliser


@dataclass(frozen=True)
class OutOfVocabulary:
    """Values of a column that a lookup of the model does not know.

    Attributes:
        column: whose values are looked up.
        vocabulary: of the model.
        n: values (words, where the model splits texts) that are not missing.
        unknown: how many of them are not in the vocabulary.
        respelled: how many of those are, but for upper and lower case and blanks around them.
        examples: the most frequent unknown values, with their counts.
        rows: (rows,) where an unknown value stands.
    """

    column: str
    vocabulary: Vocabulary
    n: int
    unknown: int
    respelled: int
    examples: tuple[tuple[str, int], ...]
    rows: Array

    @property
    def share(self) -> float:
        return self.unknown / self.n if self.n else 0.0


def bound(internals: ModelInternals, binding: Binding, space: FeatureSpace) -> ModelInternals:
    """The same with the column or unit of the data at every place of an input."""
    columns = {feed.spec.name: feed.columns for feed in binding.feeds}

    def named(place: Place) -> Place:
        fed = columns.get(place.input, ()) or (space.units if space.layout != "table" else ())
        position = place.position if place.position is not None else 0
        alone = place.position is not None or len(fed) == 1
        return replace(place, column=fed[position] if alone and position < len(fed) else None)

    def all_named(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(replace(cast(Any, p), places=tuple(named(place) for place in cast(Any, p).places)) for p in parts)

    return replace(
        internals,
        normalisers=all_named(internals.normalisers),
        vocabularies=all_named(internals.vocabularies),
        embeddings=all_named(internals.embeddings),
        discretisations=all_named(internals.discretisations),
    )


def layer_scales(case: Case, kinds: tuple[str, ...]) -> dict[int, LayerScale]:
    """Unit -> the statistics that a layer of one of these kinds has of it; the first layer where there are several."""
    found: dict[int, LayerScale] = {}
    if case.internals is None:
        return found
    units = {name: unit for unit, name in enumerate(case.space.units)}
    for layer in case.internals.normalisers:
        if layer.kind not in kinds:
            continue
        if layer.kind == "rescaling" and len(layer.places) == 1 and layer.places[0].position is None:
            # one constant for all values of the input
            found |= {u: LayerScale(layer.mean[0], layer.sd[0], layer) for u in units.values() if u not in found}
        for place, mean, sd in zip(layer.places, layer.mean, layer.sd, strict=True):
            unit = units.get(place.column or "")
            if unit is not None and unit not in found:
                found[unit] = LayerScale(mean, sd, layer)
    return found


def out_of_vocabulary(case: Case, subject: Subject) -> list[OutOfVocabulary]:
    """Per column that the model looks up: the values that it does not know. Tables only."""
    if case.internals is None or not isinstance(subject.rows, pd.DataFrame):
        return []
    found = []
    for vocabulary in case.internals.vocabularies:
        whole = vocabulary.size <= len(vocabulary.tokens)
        columns = [place.column for place in vocabulary.places if whole and place.column in subject.rows.columns]
        found += [_held_against(vocabulary, cast(str, column), subject.rows) for column in columns]
    return found


def _held_against(vocabulary: Vocabulary, column: str, rows: pd.DataFrame) -> OutOfVocabulary:
    known = {str(token) for token in vocabulary.tokens}
    folded = {token.strip().casefold() for token in known}
    unknown: Counter[str] = Counter()
    n, hit = 0, np.zeros(len(rows), dtype=bool)
    counted: dict[Any, tuple[int, list[str]]] = {}
    for row, value in enumerate(rows[column].tolist()):
        if pd.isna(value):
            continue
        if value not in counted:
            words = list(_words(vocabulary, value))
            counted[value] = len(words), [word for word in words if word not in known]
        size, strange = counted[value]
        n += size
        unknown.update(strange)
        hit[row] = bool(strange)
    respelled = sum(count for word, count in unknown.items() if word.strip().casefold() in folded)
    return OutOfVocabulary(
        column, vocabulary, n, unknown.total(), respelled, tuple(unknown.most_common(MAX_EXAMPLES)), hit
    )


def _words(vocabulary: Vocabulary, value: Any) -> Iterator[str]:
    """What is looked up of a value."""
    if not isinstance(value, str):
        yield str(int(value)) if float(value).is_integer() else str(value)
        return
    text = value.lower() if vocabulary.is_lowered else value
    if not vocabulary.is_split:
        yield text
        return
    yield from (_PUNCTUATION.sub("", text) if vocabulary.is_lowered else text).split()


def saturation(case: Case, reference: Subject, subject: Subject) -> dict[str, JsonValue]:
    """Shares of saturated outputs, where they are much more frequent than among the reference; else nothing."""
    if case.is_regression or case.meaning.kind == "class":
        return {}
    shares = []
    for one in (reference, subject):
        outputs = cast(Array, one.predictions.probabilities)
        finite = np.isfinite(outputs).all(axis=1)
        extreme = (outputs < SATURATED) | (outputs > 1 - SATURATED)
        shares.append(float(extreme[finite].all(axis=1).mean()) if finite.any() else 0.0)
    if shares[1] - shares[0] <= MIN_SATURATION:
        return {}
    return {"saturated_outputs": {"reference": shares[0], "faulty": shares[1]}}


def describe_internals(internals: ModelInternals | None) -> dict[str, JsonValue] | None:
    """For the report's `model` section; lists are cut."""
    if internals is None:
        return None
    spectra: list[JsonValue] = [
        {
            "name": w.name,
            "shape": list(w.shape),
            "norm": w.norm,
            "stable_rank": w.stable_rank,
            "power_law_alpha": w.alpha,
        }
        for w in internals.weights[:MAX_LISTED]
    ]
    return {
        "normalisers": [
            {"name": n.name, "kind": n.kind, "values": _columns(n, n.mean, n.sd)}
            for n in internals.normalisers[:MAX_LISTED]
        ],
        "batch_normalisations": [
            {"name": b.name, "units": len(b.mean), "first": b.first} for b in internals.batch_norms[:MAX_LISTED]
        ],
        "vocabularies": [
            {
                "name": v.name,
                "size": v.size,
                "first": [str(token)[:40] for token in v.tokens[:MAX_EXAMPLES]],
                "columns": [p.column or p.input for p in v.places[:MAX_LISTED]],
            }
            for v in internals.vocabularies[:MAX_LISTED]
        ],
        "embeddings": [
            {
                "name": e.name,
                "rows": e.rows,
                "width": e.width,
                "columns": [p.column or p.input for p in e.places[:MAX_LISTED]],
            }
            for e in internals.embeddings[:MAX_LISTED]
        ],
        "discretisations": [
            {
                "name": d.name,
                "boundaries": list(d.boundaries[:MAX_LISTED]),
                "columns": [p.column or p.input for p in d.places[:MAX_LISTED]],
            }
            for d in internals.discretisations[:MAX_LISTED]
        ],
        "weights": spectra,
        "weights_note": "Spectra are supporting evidence alone: the usual limits (alpha below 2 over-trained, above 6 "
        "under-trained) are a vendor's, have no interval, and were not made for small networks.",
        "compute_types": list(internals.compute_types),
    }


def _columns(layer: Normaliser, means: tuple[float, ...], sds: tuple[float, ...]) -> JsonValue:
    names = [p.column or (p.input if p.position is None else f"{p.input}[{p.position}]") for p in layer.places]
    return {name: {"mean": mean, "sd": sd} for name, mean, sd in list(zip(names, means, sds, strict=True))[:MAX_LISTED]}
