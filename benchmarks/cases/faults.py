"""Every fault that can be injected: its code in the catalogue, and three sizes of it.

A fault of the data is injected after the training, into the validation rows; a fault of the training before it.
`right` are codes that explain the same harm; `tolerated` are true of such a case without explaining it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.cases.draft import Draft
from benchmarks.cases.worlds import World

Size = Literal["small", "medium", "large"]
SIZES: tuple[Size, ...] = ("small", "medium", "large")
Inject = Callable[[Draft, float], None]

CLASSES = ("binary", "multiclass")
ANY_TASK = ("binary", "multiclass", "regression")
SYNTHETIC = ("two_classes", "four_classes", "rare_positives", "friedman", "quantiles", "orders")

# True of a model that training spoiled, whatever spoiled it.
OF_TRAINING = (
    "overfitting.generalization_gap",
    "overfitting.memorization",
    "overfitting.excess_capacity",
    "metrics.miscalibration",
    "metrics.small_validation",
    "metrics.weak_model",
    "metrics.weak_segment",
    "metrics.dominated_by_few",
)
# True of a model that learned too little.
OF_WEAKNESS = (
    "overfitting.underfitting",
    "overfitting.no_signal",
    "metrics.weak_model",
    "metrics.majority_class",
    "metrics.decision_threshold",
    "metrics.imbalanced_accuracy",
    "metrics.miscalibration",
    "metrics.small_validation",
    "metrics.weak_segment",
    "metrics.dominated_by_few",
)
# True of validation data that were spoiled, whatever spoiled them.
OF_DATA = (
    "preprocessing.distribution_shift",
    "preprocessing.outliers",
    "preprocessing.non_finite_output",
    "overfitting.generalization_gap",
    "metrics.miscalibration",
    "metrics.small_validation",
    "metrics.weak_model",
    "metrics.weak_segment",
    "metrics.decision_threshold",
    "metrics.majority_class",
    "metrics.dominated_by_few",
)


@dataclass(frozen=True)
class Fault:
    """Attributes:
    strengths: what `inject` is told for each size.
    at: before the network is trained, or after.
    worlds: empty for all that suit.
    n_validation: the sizes of validation sets where the fault is one of size.
    """

    name: str
    code: str
    inject: Inject
    strengths: dict[Size, float]
    at: Literal["before", "after"]
    right: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ANY_TASK
    images: bool | None = False
    categories: bool = False
    worlds: tuple[str, ...] = ()
    n_validation: dict[Size, int] = field(default_factory=dict)

    def suits(self, world: World) -> bool:
        return (
            world.task in self.tasks
            and (self.images is None or self.images == bool(world.image_shape))
            and (bool(world.categories) or not self.categories)
            and (not self.worlds or world.name in self.worlds)
        )


FAULTS: dict[str, Fault] = {}


def fault(
    code: str,
    sizes: tuple[float, float, float],
    *,
    at: Literal["before", "after"] = "after",
    right: tuple[str, ...] = (),
    tolerated: tuple[str, ...] | None = None,
    tasks: tuple[str, ...] = ANY_TASK,
    images: bool | None = False,
    categories: bool = False,
    worlds: tuple[str, ...] = (),
    n_validation: tuple[int, int, int] | None = None,
) -> Callable[[Inject], Inject]:
    """Enter a fault under the name of the function that injects it; `sizes` from small to large."""

    def enter(inject: Inject) -> Inject:
        usual = OF_DATA if at == "after" else OF_TRAINING
        FAULTS[inject.__name__] = Fault(
            inject.__name__,
            code,
            inject,
            dict(zip(SIZES, sizes, strict=True)),
            at,
            right,
            usual if tolerated is None else tolerated,
            tasks,
            images,
            categories,
            worlds,
            {} if n_validation is None else dict(zip(SIZES, n_validation, strict=True)),
        )
        return inject

    return enter
