"""Labels in another unit, and back."""

import numpy as np
import pytest

from audits.repairs.label_units import units_of

LABELS = np.array([1.0, 20.0, 300.0, 1500.0])
CHANGED = {
    "standardised": (LABELS - LABELS.mean()) / LABELS.std(),
    "scaled to 0..1": (LABELS - 1) / 1499,
    "scaled to -1..1": 2 * (LABELS - 1) / 1499 - 1,
    "centred": LABELS - LABELS.mean(),
    "divided by their maximum": LABELS / 1500,
    "log": np.log(LABELS),
    "log1p": np.log1p(LABELS),
    "log10": np.log10(LABELS),
    "divided by 255": LABELS / 255,
    "multiplied by 1000": LABELS * 1000,
}


@pytest.mark.parametrize("name", CHANGED)
def test_every_unit_is_brought_back_by_its_function_and_by_its_code(name: str):
    (unit,) = (u for u in units_of(LABELS) if u.name == name)

    assert np.allclose(unit.back(CHANGED[name]), LABELS)
    assert np.allclose(eval(unit.code, {"np": np, "answer": CHANGED[name]}), LABELS)


def test_no_logarithm_of_labels_that_have_none():
    names = {u.name for u in units_of(np.array([-5.0, 0.0, 3.0]))}

    assert not names & {"log", "log1p", "log10"}


def test_a_wild_answer_is_no_overflow():
    (log,) = (u for u in units_of(LABELS) if u.name == "log")

    assert np.isfinite(log.back(np.array([1e6]))).all()
