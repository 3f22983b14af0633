"""What is due to each of several repairs."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits import diagnosis
from audits.artefacts import Array
from audits.diagnosis.attribution import combinations, shapley_values
from audits.evidence.case import Case
from tests.factories import both, case, examined, holes, miscut, permuted_labels, scaled

SCALE = "preprocessing.scaling_mismatch"
HOLES = "preprocessing.missing_values"
LABELS = "preprocessing.label_encoding"
CUT = "metrics.decision_threshold"


def by_orders(scores: Array) -> Array:
    """Shapley values from their definition: the mean gain over all orders."""
    players = len(scores).bit_length() - 1
    values = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        made = 0
        for j in order:
            values[j] += scores[made | (1 << j)] - scores[made]
            made |= 1 << j
    return values / len(orders)


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.floats(-1, 1), min_size=2**k, max_size=2**k)))
def test_values_are_mean_gains_over_all_orders(scores: list[float]):
    assert shapley_values(np.array(scores)) == pytest.approx(by_orders(np.array(scores)), abs=1e-12)


@given(st.integers(1, 5).flatmap(lambda k: st.lists(st.floats(-1, 1), min_size=2**k, max_size=2**k)))
def test_values_add_up_to_what_all_gain(scores: list[float]):
    assert shapley_values(np.array(scores)).sum() == pytest.approx(scores[-1] - scores[0], abs=1e-9)


def test_many_sets_of_scores_at_once():
    scores = np.random.default_rng(0).normal(size=(7, 8))

    assert shapley_values(scores) == pytest.approx(np.stack([by_orders(row) for row in scores]))


def test_combinations_are_indexed_by_their_bits():
    one = case(n_validation=60)
    marks = [lambda s, b=b: s.with_labels(s.labels + b) for b in (1, 2, 4)]
    start = one.validation.sample.with_labels(np.zeros(60, dtype=np.int64))

    assert [int(s.labels[0]) for s in combinations(start, marks)] == list(range(8))


def attributed(one: Case) -> tuple[diagnosis.Attribution | None, Case]:
    mended, results = examined(one)
    return diagnosis.attribute(mended, results), mended


def test_nothing_proven_is_nothing_attributed():
    assert attributed(case())[0] is None


def test_a_single_repair_has_its_gain():
    attribution, mended = attributed(case(fault=scaled(3.0)))

    assert attribution is not None
    assert list(attribution.values) == [SCALE]
    assert attribution.values[SCALE].estimate == pytest.approx(mended.trials[0].gain.estimate)
    assert attribution.interaction.estimate == 0.0
    assert not attribution.interacts(0.1)


def test_two_faults_come_apart():
    """Three columns in another unit, and holes in a fourth."""
    attribution, mended = attributed(
        case(fault=both(scaled(4.0, columns=[0, 1, 2]), holes(0.3, [5])), n_train=1000, n_validation=800)
    )

    assert attribution is not None
    assert set(attribution.values) == {SCALE, HOLES}
    total = sum(v.estimate for v in attribution.values.values())
    assert total == pytest.approx(attribution.together.estimate)
    assert total == pytest.approx(mended.score(mended.mended) - mended.score(mended.validation.sample))
    for value in attribution.values.values():
        assert value.interval[0] <= value.estimate <= value.interval[1]
        assert value.interval[0] > 0


def test_two_repairs_of_one_code_count_together():
    """As where the model bore witness to one fault, and the splits' comparison to what that left."""
    attribution, mended = attributed(
        case(fault=both(scaled(4.0, columns=[0, 1, 2]), holes(0.3, [5])), n_train=1000, n_validation=800)
    )
    renamed = [replace(t, suspicion=replace(t.suspicion, code=SCALE)) for t in mended.proven]

    merged = diagnosis.attribute(replace(mended, trials=tuple(renamed)), {})

    assert attribution is not None
    assert merged is not None
    assert list(merged.values) == [SCALE]
    assert merged.values[SCALE].estimate == pytest.approx(merged.together.estimate)
    assert merged.values[SCALE].interval == pytest.approx(merged.together.interval)
    assert merged.together.estimate == pytest.approx(attribution.together.estimate)
    assert merged.alone[SCALE] == pytest.approx(merged.together.estimate)
    assert merged.interaction.estimate == pytest.approx(0.0)


def test_repairs_that_need_each_other_interact():
    """While the labels are inverted, a better answer scores worse."""
    spoilt = both(scaled(1.0, offset=500.0), permuted_labels(1, 0))
    attribution, _ = attributed(case(fault=spoilt, n_train=1000, n_validation=800))

    assert attribution is not None
    assert set(attribution.values) == {SCALE, LABELS}
    assert attribution.interaction.interval[0] > 0
    assert attribution.interacts(attribution.together.estimate)


def test_a_better_threshold_takes_part():
    attribution, _ = attributed(case(model=miscut(4.0), fault=holes(0.3, [0]), n_train=1000, n_validation=800))

    assert attribution is not None
    assert CUT in attribution.values
    assert attribution.values[CUT].estimate > 0.1


def test_the_same_case_twice_has_the_same_values():
    first, second = (attributed(case(fault=both(scaled(4.0, columns=[0]), holes(0.3, [5]))))[0] for _ in range(2))

    assert first == second
