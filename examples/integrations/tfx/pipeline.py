"""A TFX pipeline in which an audit is the blessing that Pusher waits for.

python pipeline.py TRAINED SERVED DATA LABEL: TRAINED is what a Trainer wrote, SERVED what TensorFlow Serving reads,
and DATA holds train.csv and validation.csv. In a pipeline of yours, `trained` is `trainer.outputs["model"]`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types.standard_artifacts import Model, ModelBlessing
from tfx.utils import path_utils


@tfx.dsl.components.component
def Audit(  # noqa: N802 - components are named like classes
    model: tfx.dsl.components.InputArtifact[Model],
    blessing: tfx.dsl.components.OutputArtifact[ModelBlessing],
    train: tfx.dsl.components.Parameter[str],
    validation: tfx.dsl.components.Parameter[str],
    label: tfx.dsl.components.Parameter[str],
    fail_on: tfx.dsl.components.Parameter[str] = "critical",
) -> None:
    """Blesses a model whose verdict is below `fail_on`; fails where there is no verdict.

    `fitcheck` may lie in an environment of its own; FITCHECK_URL and FITCHECK_API_KEY say where the service is.
    """
    saved_model = path_utils.serving_model_path(model.uri)
    command = ["fitcheck", "submit", "--wait", "--fail-on", fail_on, "--model", saved_model]
    command += ["--train", train, "--validation", validation, "--label", label]
    code = subprocess.run(command, check=False).returncode
    if code not in {0, 1}:
        raise RuntimeError(f"the audit gave no verdict: exit code {code}")
    blessing.set_int_custom_property("blessed", int(code == 0))
    Path(blessing.uri, "BLESSED" if code == 0 else "NOT_BLESSED").touch()


def gate(trained: Any, served: str, **asked: str) -> list[BaseNode]:
    """The last two steps of a pipeline.

    Args:
        trained: the output of a Trainer.
        served: the folder that TensorFlow Serving reads; each model that is pushed becomes a numbered version below it.
        asked: the parameters of `Audit`.
    """
    audit = Audit(model=trained, **asked)
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=served)
    pusher = tfx.components.Pusher(
        model=trained,
        model_blessing=audit.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=filesystem),
    )
    return [audit, pusher]


def main(trained: str, served: str, data: str, label: str) -> None:
    state = Path("tfx")
    model = tfx.dsl.Importer(source_uri=trained, artifact_type=Model).with_id("trained")
    asked = {"train": f"{data}/train.csv", "validation": f"{data}/validation.csv", "label": label}
    state.mkdir(exist_ok=True)
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="gate",
            pipeline_root=str(state),
            components=[model, *gate(model.outputs["result"], served, **asked)],
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(state / "metadata.sqlite")
            ),
            enable_cache=False,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
