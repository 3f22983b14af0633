"""preprocessing.duplicate_leakage: validation rows that the model was trained on."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from audits.checks.preprocessing.duplicate_leakage import CODE
from schemas.report import Outcome, Severity
from tests.audits.checks.preprocessing.test_image_geometry import answering, pictures
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, case, case_of, copied, fitted, memoriser, result_of, splits


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_fires_on_copies(share: float, layout: str):
    result = result_of(CODE, case(layout=layout, fault=copied(share)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.effect.estimate == pytest.approx(share, abs=0.05)
    assert result.finding.evidence["kind"] == "exact"


def coarse(part: Part, train: Part, rng: np.random.Generator) -> Part:
    """Two values a column: most rows share their features with some other row."""
    return part.with_numbers((part.numbers > train.numbers.mean(axis=0)).astype(float))


@pytest.mark.parametrize(("share", "outcome"), [(0.3, Outcome.FAIL), (0.0, Outcome.PASS)])
def test_rows_of_few_values_are_copies_where_the_label_agrees_too(share: float, outcome: Outcome):
    """The features of nearly every validation row stand in the training data by chance, its label does not."""
    train, validation = splits("regression", columns=5)
    parts = coarse(train, train, np.random.default_rng(0)), coarse(validation, train, np.random.default_rng(0))
    spoilt = copied(share)(parts[1], parts[0], np.random.default_rng(1))

    one = case_of(parts[0], spoilt, fitted(parts[0], "regression"))
    result = result_of(CODE, one)

    assert one.seen.mean() > 0.9
    assert result.outcome is outcome
    assert share == 0 or result.finding.effect.estimate == pytest.approx(share, abs=0.05)


def test_fires_on_near_copies():
    result = result_of(CODE, case(fault=copied(0.3, jitter=0.001)))

    assert result.outcome is Outcome.FAIL
    assert result.finding.evidence["kind"] == "near"
    assert result.finding.effect.estimate == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_metric_that_copies_inflate_is_critical(task: str):
    """A memoriser knows the copies by heart; without them it knows little."""
    one = case(task, model=memoriser, signal=0.7, fault=copied(0.5))

    result = result_of(CODE, one)

    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.after == pytest.approx(
        case(task, model=memoriser, signal=0.7).validation_score[0], abs=0.15
    )
    assert result.confirmation.gain_interval[1] < 0


def test_copies_that_inflate_nothing_are_a_warning():
    assert result_of(CODE, case(signal=6.0, fault=copied(0.3))).finding.severity is Severity.WARNING


def test_names_the_rows():
    train, validation = splits()
    one = case(fault=copied(0.1))

    rows = result_of(CODE, one).finding.affected.rows

    seen = {row.tobytes() for row in train.numbers}
    values = Part(one.validation.sample.rows, validation.y).numbers
    assert rows == [i for i, row in enumerate(values) if row.tobytes() in seen]


def test_says_when_no_clean_rows_are_left():
    result = result_of(CODE, case(fault=copied(1.0)))

    assert result.outcome is Outcome.FAIL
    assert result.confirmation is None
    assert "Too few clean rows" in result.explanation


@pytest.mark.parametrize("layout", ["table", "vector"])
def test_the_remedys_code_leaves_the_clean_rows(layout: str):
    train, validation = splits(layout=layout)
    spoilt = copied(0.3)(validation, train, np.random.default_rng(0))

    names = defined_by(remedy_of(result_of(CODE, case(layout=layout, fault=copied(0.3)))))
    if layout == "table":
        clean = names["without_copies"](train.x, spoilt.x, digits=6)
    else:
        clean = names["without_copies"](train.x, spoilt.x, spoilt.y)[0]

    original = (spoilt.numbers == validation.numbers).all(axis=1)
    np.testing.assert_array_equal(np.asarray(clean), np.asarray(spoilt.x)[original])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("layout", ["table", "vector", "image"])
def test_stays_silent_on_rows_of_their_own(task: str, layout: str):
    result = result_of(CODE, case(task, layout=layout))

    assert result.outcome is Outcome.PASS
    assert result.finding is None


@pytest.mark.parametrize("columns", [2, 4])
def test_stays_silent_on_tables_of_few_values(columns: int):
    """Whole numbers in few columns repeat by chance, within the training rows as between the splits."""

    def rounded(part: Part, train: Part, rng: np.random.Generator) -> Part:
        z = (part.numbers - train.numbers.mean(axis=0)) / train.numbers.std(axis=0)
        return part.with_numbers(np.round(z))

    assert result_of(CODE, case(columns=columns, train_fault=rounded, fault=rounded)).finding is None


def test_stays_silent_on_a_single_copy():
    def one_copy(part: Part, train: Part, rng: np.random.Generator) -> Part:
        values = part.numbers
        values[0] = train.numbers[0]
        return part.with_numbers(values)

    assert result_of(CODE, case(fault=one_copy)).finding is None


@pytest.mark.parametrize(
    "disguise",
    [
        lambda x, rng: 0.8 * x + 0.1,
        lambda x, rng: x + rng.normal(0, 0.02, x.shape),
        lambda x, rng: np.round(x * 20) / 20,
    ],
    ids=["brightness and contrast", "noise", "few levels"],
)
def test_fires_on_near_copies_of_images(disguise):
    train, validation = pictures(300, channels=3), pictures(200, channels=3)
    rng = np.random.default_rng(0)
    source = rng.permutation(300)[:60]
    copies = disguise(train.x[source], rng).astype(np.float32)
    mixed = Part(np.concatenate([copies, validation.x[60:]]), np.concatenate([train.y[source], validation.y[60:]]))

    result = result_of(CODE, case_of(train, mixed, answering(train, "multiclass")))

    assert result.finding.evidence["kind"] == "near"
    assert result.finding.effect.estimate == pytest.approx(0.3, abs=0.02)
    assert set(result.finding.affected.rows) <= set(range(60))


@pytest.mark.parametrize("noise", [0.1, 0.03, 0.01, 0.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_stays_silent_on_images_that_are_all_alike(noise: float, channels: int):
    """A patch at one of three places is all that differs; without noise, most images stand in the training data."""
    quiet = (pictures(n, channels=channels, seed=n, noise=noise) for n in (300, 200))
    train, validation = quiet

    assert result_of(CODE, case_of(train, validation, answering(train, "multiclass"))).outcome is not Outcome.FAIL


def test_images_of_one_value_are_nobodys_copies():
    train, validation = pictures(60), pictures(60)
    blank = Part(np.full_like(validation.x, 0.5), validation.y)

    assert result_of(CODE, case_of(train, blank, answering(train, "multiclass"))).outcome is Outcome.PASS


def test_stays_silent_on_images_that_are_alike_because_they_are_blurred():
    """Without its noise, a validation image resembles some training image closely, and its like just as much."""
    train, validation = pictures(300), pictures(200)
    blurred = gaussian_filter(validation.x, (0, 0.7, 0.7, 0))

    for part in (Part(blurred, validation.y), Part(pictures(200, noise=0.01).x, validation.y)):
        assert result_of(CODE, case_of(train, part, answering(train, "multiclass"))).outcome is not Outcome.FAIL
