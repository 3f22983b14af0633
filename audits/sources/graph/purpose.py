"""Whether a graph predicts at all, or prepares data for another model that does."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from audits.naming import listed, normalised
from audits.sources.graph.reach import Reach
from schemas.problem import ModelError

TRANSFORM_TAG = "transform"
_TRANSFORM_NAME = re.compile(r"(tft_)?transform(_(fn|features?|raw|data|layer))*(_signature)?|preprocess(ing)?(_fn)?")
# What TF Transform's users call a feature once it is prepared.
_PREPARED = re.compile(r"_(xf|transformed|scaled|normali[sz]ed|integerized|one_?hot|bucketi[sz]ed|z_?score)$")
# Ops through which a model weighs its features.
_WEIGHING = re.compile(
    r".*MatMul|.*Conv|Einsum|.*Lstm|.*LSTM|.*GRU|.*Rnn|.*RNN|BoostedTrees|DecisionTree|TreePredictions|.*Gather|"
    r".*EmbeddingLookup|XlaCallModule|TPU|TRT"
)


def is_transform(signature: str) -> bool:
    """Whether a signature or function is named as TF Transform and TFX name theirs."""
    return _TRANSFORM_NAME.fullmatch(signature) is not None


def require_predictions(
    tags: Collection[str],
    signature: str,
    definition: Any,
    reach: Reach,
    *,
    parameters: int | None,
    features: Sequence[str],
) -> None:
    """Refuse a graph that prepares features and holds no trained model.

    Args:
        tags: of the meta graph.
        signature: name of the signature.
        definition: the signature itself.
        reach: what runs when it is called.
        parameters: trained numbers that it uses.
        features: names of its inputs, and of what is parsed out of them.

    Raises:
        ModelError: `preprocessing_only`.
    """
    named = TRANSFORM_TAG in tags or is_transform(signature)
    if not named and not _only_prepares(definition, reach, parameters, features):
        return
    outputs = sorted(definition.outputs)
    raise ModelError(
        "preprocessing_only",
        f"This graph prepares features and predicts nothing: {signature!r} returns {listed(outputs, 8)}"
        f"{', without a trained variable' if not parameters else ''}. It is the transform graph of another model; give "
        "the SavedModel that was trained on these features, exported with the transformation in its serving signature.",
        field="model.signature" if named and TRANSFORM_TAG not in tags else "model.uri",
    )


def _only_prepares(definition: Any, reach: Reach, parameters: int | None, features: Sequence[str]) -> bool:
    """Nothing is trained, and most outputs bear the names of features."""
    if parameters or len(definition.outputs) < 2 or any(_WEIGHING.match(op) for op in reach.ops):
        return False
    known = {normalised(name) for name in features}
    alike = [name for name in definition.outputs if normalised(_PREPARED.sub("", name)) in known]
    return 2 * len(alike) > len(definition.outputs)
