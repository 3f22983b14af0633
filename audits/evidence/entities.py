"""Identifiers and time stamps of both splits, in forms that can be compared."""

from typing import Any

import numpy as np
import pandas as pd

from audits.artefacts import Array

NO_ENTITY = -1
# A column of text whose values parse to this share holds time stamps.
MIN_PARSED = 0.9


def entity_codes(train: Array, validation: Array) -> tuple[Array, Array]:
    """One whole number per identifier, the same in both splits; -1 where it is missing.

    An identifier is the same whether it was read as text, as a whole number or as a float: "17", 17 and 17.0.
    """
    keys = np.concatenate([_keys(train), _keys(validation)])
    codes = np.asarray(pd.factorize(keys)[0], dtype=np.int64)  # missing keys become -1
    return codes[: len(train)], codes[len(train) :]


def dependent_rows(groups: Array) -> Array:
    """(rows,) whole numbers of rows that stand or fall together; a row that names no group is one of its own."""
    codes = entity_codes(groups, groups[:0])[0]
    alone = codes == NO_ENTITY
    return np.where(alone, codes.max(initial=0) + 1 + np.arange(len(codes)), codes)


def _keys(values: Array) -> Array:
    """(rows,) text, None where there is none."""
    if values.dtype.kind == "M":
        values = np.where(np.isnat(values), None, values.astype("datetime64[us]").astype(object))  # type: ignore[call-overload]
    return np.array([_key(value) for value in values.tolist()], dtype=object)


def _key(value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN is not equal to itself
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return text or None


def comparable_times(train: Array, validation: Array) -> tuple[Array, Array] | None:
    """(rows,) float64 of each split on one scale, NaN where missing; None where they are of different kinds.

    Numbers stay as they are (epochs, years, days since something); stamps become seconds since 1970. Texts of both
    splits are read alike.
    """
    if train.dtype == object and validation.dtype == object:
        both = _texts(np.concatenate([train, validation]))
        return None if both is None else (both[1][: len(train)], both[1][len(train) :])
    kinds = [_texts(v) if v.dtype == object else _typed(v) for v in (train, validation)]
    if kinds[0] is None or kinds[1] is None or kinds[0][0] != kinds[1][0]:
        return None
    return kinds[0][1], kinds[1][1]


def looks_like_times(values: Array) -> bool:
    """Whether texts are dates or stamps that begin with the year, month and day (ISO 8601)."""
    texts = [v for v in values[:200].tolist() if isinstance(v, str) and v.strip()]
    return len(texts) > 0 and all(
        len(t.strip()) >= 8 and t.strip()[:4].isdigit() and t.strip()[4] in "-/" for t in texts
    )


def _typed(values: Array) -> tuple[str, Array]:
    if values.dtype.kind == "M":
        return "stamp", _seconds(pd.Series(values))
    numbers = np.asarray(values, dtype=np.float64)
    return "number", np.where(np.isfinite(numbers), numbers, np.nan)


def _texts(values: Array) -> tuple[str, Array] | None:
    texts = pd.Series(values, dtype=object).map(_key).astype(object)
    known = int(texts.notna().sum())
    if not known:
        return "stamp", np.full(len(values), np.nan)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    if np.isfinite(numbers).sum() >= MIN_PARSED * known:
        return "number", np.where(np.isfinite(numbers), numbers, np.nan)
    parsed = pd.to_datetime(texts, errors="coerce", utc=True, format="mixed", dayfirst=_day_first(texts))
    if parsed.notna().sum() < MIN_PARSED * known:
        return None
    return "stamp", _seconds(parsed.dt.tz_localize(None))


def _day_first(texts: "pd.Series[Any]") -> bool:
    """Whether dates such as 3.4.2025 begin with the day: some first number is beyond 12, or dots part the numbers."""
    parts = texts.dropna().astype(str).str.extract(r"^(\d{1,2})([./-])(\d{1,2})[./-]\d{2,4}").dropna()
    if parts.empty:
        return False
    first, second = parts[0].astype(int), parts[2].astype(int)
    return bool((first > 12).any() or ((parts[1] == ".").any() and not (second > 12).any()))


def _seconds(stamps: "pd.Series[Any]") -> Array:
    values = stamps.to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e6)
