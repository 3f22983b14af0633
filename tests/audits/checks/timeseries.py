"""Regressions in time whose best forecast is known, as cases."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from audits.artefacts import Array
from audits.evidence.case import Case
from tests.factories import Part, case_of, request_for

Kind = Literal["walk", "autoregressive", "seasonal", "driven", "independent"]
Forecast = Literal["fitted", "copy", "mean", "worse"]
LAGS = (1, 2, 3, 12)
SEASON = 12


def values(kind: Kind, n: int, rng: np.random.Generator, memory: float = 0.9) -> tuple[Array, Array]:
    """(n,) a series, and (n,) what drives it, known one step ahead."""
    noise, driver = rng.normal(size=n), rng.normal(size=n)
    if kind == "walk":
        return np.cumsum(noise), driver
    if kind == "seasonal":
        return 5 * np.sin(2 * np.pi * np.arange(n) / SEASON) + noise, driver
    if kind == "independent":
        return 2 * driver + noise, driver
    series = np.empty(n)
    series[0] = noise[0]
    pull = 1.5 * driver if kind == "driven" else 0 * driver
    for t in range(1, n):
        series[t] = memory * series[t - 1] + noise[t] + pull[t]
    return series, driver


def forecast_case(
    kind: Kind = "driven",
    forecast: Forecast = "fitted",
    *,
    n_train: int = 600,
    n_validation: int = 300,
    memory: float = 0.9,
    lags: tuple[int, ...] = LAGS,
    time: bool = True,
    shuffled: bool = False,
    ahead: int = 1,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> Case:
    """The first rows train, the last ones validate.

    Args:
        kind: of the series.
        forecast: fitted to the features, a copy of the newest lag, the mean, or that lag with noise.
        n_train, n_validation: rows.
        memory: of an autoregressive series.
        lags: of the series that are features; the newest is `ahead` steps back.
        time: whether the time column is named.
        shuffled: whether the validation rows stand in another order.
        ahead: steps between the last known value and the label.
        limits: overrides, code -> limits.
        seed: of the whole world.
    """
    rng = np.random.default_rng([seed, 11])
    y, driver = values(kind, n_train + n_validation + 30, rng, memory)
    at = np.arange(30, len(y))
    x = pd.DataFrame({f"lag{k}": y[at - k - ahead + 1] for k in lags} | {"driver": driver[at]})
    label = y[at]
    parts = [Part(x.iloc[:n_train], label[:n_train]), Part(x.iloc[n_train:].reset_index(drop=True), label[n_train:])]
    order = rng.permutation(n_validation) if shuffled else np.arange(n_validation)
    validation = parts[1].at(order)
    answer = _answer(forecast, parts[0], rng)
    one = case_of(parts[0], validation, answer, request=request_for(task="regression"), limits=limits)
    times = {"train": at[:n_train].astype(float), "validation": at[n_train:][order].astype(float)}
    for name, stamps in times.items() if time else ():
        one = with_roles(one, name, time=stamps)
    return one


def with_roles(one: Case, name: str, **roles: Array) -> Case:
    """The case with further role columns in one split."""
    split = getattr(one, name)
    changed: dict[str, Any] = {name: replace(split, roles={**split.roles, **roles})}
    return replace(one, **changed)


def _answer(forecast: Forecast, train: Part, rng: np.random.Generator) -> Callable[[Array], Array]:
    if forecast == "mean":
        return lambda m: np.full(len(m), train.y.mean())
    if forecast == "copy":
        return lambda m: m[:, 0]
    if forecast == "worse":
        spread = np.diff(train.y).std()
        return lambda m: m[:, 0] + spread * np.sin(1e4 * m[:, 0])
    line = LinearRegression().fit(train.numbers, train.y)
    return lambda m: np.asarray(line.predict(m))
