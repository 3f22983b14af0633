"""preprocessing.image_geometry: images turned, mirrored, or with their channels in another order."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge

from audits.artefacts import Array
from audits.checks.preprocessing import image_geometry
from audits.checks.preprocessing.image_geometry import CODE
from audits.evidence.case import Case
from schemas.report import Outcome, Severity
from tests.audits.checks.remedies import defined_by, remedy_of
from tests.factories import Part, Task, case, case_of, examined, faults_found, request_for, result_of

Change = Callable[[Array], Array]


def pictures(
    n: int,
    side: tuple[int, int] = (8, 8),
    channels: int = 1,
    *,
    task: Task = "multiclass",
    slope: float = 0.15,
    noise: float = 0.1,
    seed: int = 0,
) -> Part:
    """Light from above and from the left; a bright patch stands left, right or between, or where the quantity says."""
    rng = np.random.default_rng([seed, n])
    height, width = side
    down, across = np.mgrid[:height, :width] / np.array([height - 1, width - 1])[:, None, None]
    y = 10 * rng.random(n) if task == "regression" else rng.integers(0, 2 if task == "binary" else 3, n)
    place = y / {"regression": 10, "binary": 1, "multiclass": 2}[task]
    # with several channels, the last one sees what is not there
    places = [place if c < 2 else 1 - place for c in range(channels)]
    patch = [np.exp(-(((across - p[:, None, None]) / 0.25) ** 2) - ((down - 0.3) / 0.3) ** 2) for p in places]
    grey = (0.5 - 0.2 * down - slope * across)[..., None] + 0.3 * np.stack(patch, axis=-1)
    x = grey * np.linspace(1.0, 0.6, channels) + rng.normal(0, noise, (n, height, width, channels))
    return Part(x.astype(np.float32), y)


def answering(train: Part, task: Task) -> Callable[[Array], Array]:
    def flat(x: Array) -> Array:
        return np.nan_to_num(x.reshape(len(x), -1).astype(np.float64))

    wanted = train.y if task == "regression" else np.eye(3)[train.y]
    ridge = Ridge(1.0, solver="cholesky").fit(flat(train.x), wanted)
    if task == "regression":
        return lambda m: ridge.predict(flat(m))
    if task == "binary":
        return lambda m: softmax(8 * ridge.predict(flat(m))[:, :2], axis=1)[:, 1]
    return lambda m: softmax(8 * ridge.predict(flat(m)), axis=1)


def of_pictures(
    change: Change = np.asarray,
    *,
    task: Task = "multiclass",
    sizes: tuple[int, int] = (400, 250),
    stored: Change = np.asarray,
    output: str = "auto",
    seed: int = 0,
    **world,
) -> Case:
    """The case of validation images after a change; `stored` lays both splits out otherwise."""
    train, validation = (pictures(n, task=task, seed=seed, **world) for n in sizes)
    train, validation = replace(train, x=stored(train.x)), replace(validation, x=stored(change(validation.x)))
    answer = answering(train, task)
    given = (lambda m: answer(m).argmax(axis=1)) if output == "class" else answer
    request = request_for(task=task, output={"kind": output})
    return case_of(train, replace(validation, x=np.ascontiguousarray(validation.x)), given, request=request)


def memory_as_read(x: Array) -> Array:
    """What was stored channel by channel, reshaped to channels last."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(x.shape)


CHANGES: dict[str, tuple[Change, str]] = {
    "clockwise": (lambda x: np.rot90(x, -1, (1, 2)), "turn the validation images by 90 degrees counter-clockwise"),
    "counter-clockwise": (lambda x: np.rot90(x, 1, (1, 2)), "turn the validation images by 90 degrees clockwise"),
    "upside down": (lambda x: x[:, ::-1], "turn the validation images upside down (mirror them top to bottom)"),
    "transposed": (lambda x: x.swapaxes(1, 2), "exchange the rows and the columns of the validation images"),
    "BGR": (lambda x: x[..., ::-1], "swap the red and the blue channel of the validation images"),
    "GBR": (lambda x: x[..., [1, 2, 0]], "read the channels of the validation images in the order 2, 0, 1"),
    "reshaped": (memory_as_read, "read the memory of the validation images as channels first"),
    "both": (
        lambda x: np.rot90(x, 1, (1, 2))[..., ::-1],
        "turn the validation images by 90 degrees clockwise and swap the red and the blue channel of the validation "
        "images",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fires_on_images_that_are_changed(change: str):
    spoil, words = CHANGES[change]

    result = result_of(CODE, of_pictures(spoil, channels=3))

    assert result.outcome is Outcome.FAIL
    assert result.finding.severity is Severity.CRITICAL
    assert result.confirmation.intervention == words
    assert result.confirmation.after == pytest.approx(of_pictures(channels=3).validation_score[0])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("sizes", [(100, 60), (700, 900)])
def test_fires_on_any_task_and_size(task: Task, sizes: tuple[int, int]):
    assert result_of(CODE, of_pictures(CHANGES["clockwise"][0], task=task, sizes=sizes)).outcome is Outcome.FAIL


def test_fires_on_a_model_that_answers_with_a_class():
    assert result_of(CODE, of_pictures(CHANGES["clockwise"][0], output="class")).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "stored",
    [lambda x: x[..., 0], lambda x: np.moveaxis(x, -1, 1)],
    ids=["no channels", "channels first"],
)
def test_fires_whatever_the_layout(stored: Change):
    channels = 1 if stored(np.zeros((1, 8, 8, 1))).ndim == 3 else 3
    one = of_pictures(CHANGES["transposed"][0], stored=stored, channels=channels)

    result = result_of(CODE, one)

    assert result.confirmation.intervention == CHANGES["transposed"][1]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("first", [False, True], ids=["channels last", "channels first"])
def test_the_remedys_code_puts_the_images_right(name: str, first: bool):
    if name == "reshaped" and first:
        pytest.skip("made for channels last")
    stored = (lambda x: np.ascontiguousarray(np.moveaxis(x, -1, 1))) if first else np.asarray
    one = of_pictures(CHANGES[name][0], channels=3, stored=stored)

    put_right = defined_by(remedy_of(result_of(CODE, one)))["put_right"]

    np.testing.assert_array_equal(put_right(one.mended.rows), stored(pictures(250, channels=3).x))


def test_images_that_are_no_squares():
    """Turning them by a quarter would change their shape."""
    upside_down = result_of(CODE, of_pictures(lambda x: np.rot90(x, 2, (1, 2)), side=(8, 10)))
    reshaped = result_of(CODE, of_pictures(lambda x: x.swapaxes(1, 2).reshape(x.shape), side=(8, 10)))

    assert upside_down.outcome is Outcome.FAIL
    assert "width and height exchanged" in reshaped.confirmation.intervention


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_some_of_the_images(share: float):
    """Only those are turned back that fit better then."""
    turned = np.arange(250) < share * 250

    def spoil(x: Array) -> Array:
        return np.where(turned[:, None, None, None], np.rot90(x, 1, (1, 2)), x)

    result = result_of(CODE, of_pictures(spoil))

    assert result.outcome is Outcome.FAIL
    assert result.finding.affected.share_of_rows == pytest.approx(share, abs=0.03)
    named = set(result.finding.affected.rows)
    assert len(named - set(np.flatnonzero(turned))) <= 0.05 * len(named)
    assert "Only some" in result.finding.remedy.text


def test_where_left_and_right_are_classes_the_labels_choose():
    """Images and their mirror images are equally frequent: pixels alone cannot tell a turn from a turned mirror."""
    result = result_of(CODE, of_pictures(CHANGES["clockwise"][0], slope=0.0))

    assert result.confirmation.intervention == CHANGES["clockwise"][1]


def test_where_images_look_alike_from_all_sides_the_models_answers_tell():
    """A pattern or its negative in noise, among the turned patterns: only the model knows which one counts."""
    rng = np.random.default_rng(0)
    board = rng.normal(size=(8, 8))
    board -= board[::-1, ::-1]
    symmetries = [np.rot90(b, k) for b in (board, board.T) for k in range(4)]
    y = rng.integers(0, 2, 900)
    strength = rng.normal(size=(900, 7)) / 2
    others = np.einsum("nk,khw->nhw", strength, np.array(symmetries[1:]))
    x = (board * (2 * y - 1)[:, None, None] + others + rng.normal(0, 1.0, (900, 8, 8))).astype(np.float32)
    fitted = LogisticRegression(max_iter=300).fit(x[:500].reshape(500, -1), y[:500])
    spoilt = Part(np.ascontiguousarray(x[500:, ::-1]), y[500:])
    one = case_of(Part(x[:500], y[:500]), spoilt, lambda m: fitted.predict_proba(m)[:, 1])

    found = image_geometry._by_answers(one, image_geometry.ImageForm(8, 8, 1, (8, 8)), one.train.sample, one.mended)

    assert found is not None
    assert found.seen_by == "answers"
    assert result_of(CODE, one).outcome is Outcome.FAIL


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_stays_silent_on_healthy_images(task: Task):
    """Of all sizes, and on those of the common worlds."""
    alarms = []
    for seed in range(3):
        for sizes in ((60, 55), (150, 80), (400, 300)):
            healthy = (of_pictures(task=task, sizes=sizes, seed=seed, channels=c) for c in (1, 3))
            noise = case(task, layout="image", n_train=sizes[0], n_validation=sizes[1], seed=seed, channels=3)
            alarms += [one for one in (*healthy, noise) if faults_found(examined(one, {CODE})[1])]

    assert not alarms


@pytest.mark.parametrize(
    "other",
    [lambda x: x * 255, lambda x: x / 255, lambda x: 1 - x, lambda x: 2 * x - 1, lambda x: x + 0.3, lambda x: x**2],
    ids=["0-255", "/255", "inverted", "-1..1", "brighter", "gamma"],
)
def test_stays_silent_on_other_faults(other: Change):
    assert result_of(CODE, of_pictures(other, channels=3)).outcome is Outcome.PASS


def test_stays_silent_on_a_change_that_the_model_does_not_mind():
    """Left and right of the middle are the same class."""
    train, validation = pictures(400), pictures(250)
    train, validation = (replace(part, y=(part.y == 1).astype(int)) for part in (train, validation))
    fitted = LogisticRegression(max_iter=300).fit(np.abs(train.x.reshape(400, -1)), train.y)

    def answer(m: Array) -> Array:
        images = m.reshape(-1, 8, 8)
        return fitted.predict_proba(((images + images[:, :, ::-1]) / 2).reshape(len(m), -1))[:, 1]

    mirrored = replace(validation, x=np.ascontiguousarray(validation.x[:, :, ::-1]))

    assert result_of(CODE, case_of(train, mirrored, answer)).outcome is Outcome.PASS


def test_a_mirror_that_the_model_does_not_mind_is_no_placebo():
    """Turned clockwise and mirrored along the diagonal are the same to it: both are the repair."""
    train, validation = pictures(400), pictures(250)
    train, validation = (replace(part, y=(part.y == 1).astype(int)) for part in (train, validation))
    symmetric = lambda x: ((x + x[:, :, ::-1]) / 2).reshape(len(x), -1)  # noqa: E731
    fitted = LogisticRegression(max_iter=300).fit(symmetric(train.x), train.y)
    turned = replace(validation, x=np.ascontiguousarray(np.rot90(validation.x, 1, (1, 2))))
    one = case_of(train, turned, lambda m: fitted.predict_proba(symmetric(m.reshape(-1, 8, 8, 1)))[:, 1])

    assert result_of(CODE, one).outcome is Outcome.FAIL


def test_does_not_apply_to_tables_and_vectors():
    for layout in ("table", "vector"):
        assert result_of(CODE, case(layout=layout)).outcome is Outcome.NOT_APPLICABLE


def test_too_few_images():
    result = result_of(CODE, of_pictures(sizes=(100, 20)))

    assert result.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("spoil", [np.zeros_like, lambda x: np.full_like(x, np.nan), lambda x: x * np.float32(1e30)])
def test_values_that_say_nothing(spoil: Change):
    assert result_of(CODE, of_pictures(spoil)).outcome is Outcome.PASS
    assert result_of(CODE, of_pictures(stored=np.zeros_like)).outcome is Outcome.PASS


def test_no_label_is_used():
    one = of_pictures(CHANGES["clockwise"][0])
    mixed = one.mended.with_labels(np.roll(one.mended.labels, 7))

    seen, other = (image_geometry.suspect(one, one.train.sample, subject) for subject in (one.mended, mixed))

    assert seen.effect == other.effect
    assert seen.intervention == other.intervention
