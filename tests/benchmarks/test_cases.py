from itertools import islice

import numpy as np
import pandas as pd
import pytest

from audits.registry import CHECKS
from benchmarks.acceptance import plans
from benchmarks.cases.draft import Draft, draw
from benchmarks.cases.faults import FAULTS, SIZES, Fault
from benchmarks.cases.making import NETWORKS
from benchmarks.cases.worlds import names, world

SEED = 7
OF_THE_NETWORK = {"hardly_trained", "overconfident", "cut_misplaced", "softmax_of_one", "sigmoid_of_value"}


def a_world_for(fault: Fault) -> str:
    return next(name for name in names() if fault.suits(world(name)))


def drafted(fault: Fault, size: str) -> tuple[Draft, Draft]:
    """The same draft as it would be, and with the fault."""
    drafts = []
    for inject in (False, True):
        draft = draw(world(a_world_for(fault)), 200 if fault.at == "before" else 50, SEED)
        if inject and fault.at == "before":
            fault.inject(draft, fault.strengths[size])  # type: ignore[index]
        draft.standardise()
        if inject and fault.at == "after":
            fault.inject(draft, fault.strengths[size])  # type: ignore[index]
        drafts.append(draft)
    return drafts[0], drafts[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_changes_what_it_is_about(name: str, size: str) -> None:
    sound, spoiled = drafted(FAULTS[name], size)
    if FAULTS[name].at == "after":
        pd.testing.assert_frame_equal(sound.train, spoiled.train)
        assert not sound.validation.equals(spoiled.validation)
    elif name in OF_THE_NETWORK:
        assert sound.recipe != spoiled.recipe
    else:
        same = (
            sound.train.equals(spoiled.train)
            and sound.validation.equals(spoiled.validation)
            and not spoiled.exaggerated
        )
        assert not same
    assert list(spoiled.train[spoiled.features]) == list(spoiled.validation[spoiled.features])
    assert len(spoiled.validation)


def test_the_same_seed_makes_the_same_draft() -> None:
    fault = FAULTS["outliers"]
    first, second = (drafted(fault, "small")[1] for _ in range(2))
    pd.testing.assert_frame_equal(first.validation, second.validation)


def test_codes_are_of_the_catalogue() -> None:
    """Those that no check gives yet are faults that go unseen, not misspellings."""
    later = {
        "metrics.dominated_by_few", "metrics.miscalibration", "metrics.output_mismatch", "metrics.reported_mismatch",
        "metrics.weak_segment", "overfitting.excess_capacity", "preprocessing.category_mismatch",
        "preprocessing.constant_feature", "preprocessing.duplicates", "preprocessing.group_leakage",
        "preprocessing.identifier_feature", "preprocessing.image_geometry", "preprocessing.label_noise",
        "preprocessing.prior_shift", "preprocessing.temporal_leakage", "preprocessing.unscaled_inputs",
        "preprocessing.value_range",
    }  # fmt: skip
    used = {code for fault in FAULTS.values() for code in (fault.code, *fault.right, *fault.tolerated)}
    assert used <= {code for code, _ in CHECKS} | later


def test_a_split_leaves_no_row_in_two_places() -> None:
    draft = draw(world("two_classes"), 500, SEED)
    whole = pd.concat(draft.parts())
    assert len(whole) == len(world("two_classes").frame)
    assert not whole.duplicated().any()
    assert len(draft.validation) == 500


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        draw(world("wine"), 100, SEED)


def test_plans_are_the_same_each_time_and_spread_over_everything() -> None:
    healthy, again = (list(islice(plans.healthy(SEED), 210)) for _ in range(2))
    assert healthy == again
    assert {plan.n_validation for plan in healthy} == set(plans.VALIDATION_ROWS)
    assert {plan.network for plan in healthy} == set(NETWORKS)
    assert {plan.world for plan in healthy} == set(names())
    faulty = list(islice(plans.faulty(SEED), 3 * len(FAULTS)))
    assert {(plan.fault, plan.size) for plan in faulty} == {(name, size) for name in FAULTS for size in SIZES}
    assert len({plan.seed for plan in faulty}) == len(faulty)
    assert all(FAULTS[plan.fault].suits(world(plan.world)) for plan in faulty if plan.fault)
    for name, rows in {(plan.world, plan.n_validation) for plan in healthy + faulty}:
        draw(world(name), rows, SEED)


def test_other_codes_stay_codes() -> None:
    draft = draw(world("orders"), 300, SEED)
    before = draft.validation["shop"].to_numpy(copy=True)
    FAULTS["other_codes"].inject(draft, 2)
    assert np.array_equal((before - draft.validation["shop"]) % 5, np.ones(300))
