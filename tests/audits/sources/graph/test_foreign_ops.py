"""Ops of other hardware and libraries are named, with what to do."""

import pytest

from audits.sources.graph.foreign_ops import require_known_ops
from schemas.problem import ModelError


@pytest.mark.parametrize(
    ("op", "origin"),
    [
        ("TRTEngineOp", "TensorRT"),
        ("CreateTRTResourceHandle", "TensorRT"),
        ("NeuronOp", "AWS Neuron"),
        ("Addons>CorrelationCost", "Addons"),
        ("SentencepieceOp", "TensorFlow Text"),
        ("FastWordpieceTokenizeWithOffsets", "TensorFlow Text"),
        ("SimpleMLInferenceOpWithHandle", "Decision Forests"),
        ("HorovodAllreduce", "Horovod"),
        ("IO>DecodeTiff", "I/O"),
    ],
)
def test_they_are_refused_wherever_they_stand(op: str, origin: str) -> None:
    with pytest.raises(ModelError, match=origin) as caught:
        require_known_ops({"MatMul": "dense", op: "there"}, frozenset())

    assert (caught.value.code, caught.value.op) == ("op_unsupported", op)
    assert "'there'" in caught.value.detail


def test_ops_of_a_tpu_are_refused_where_they_run() -> None:
    ops = {"TPUReplicateMetadata": "metadata"}
    require_known_ops(ops, frozenset())

    with pytest.raises(ModelError, match="TPUs"):
        require_known_ops(ops, frozenset(ops))
