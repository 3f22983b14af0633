"""A Keras callback that has the trained model audited.

model.fit(..., callbacks=[fitcheck.keras.Audit(client, train="train.csv", validation="val.csv", label="y",
export_to="runs/7")])
"""

import json
import logging
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import keras

from schemas.problem import ProblemError
from service.client.blocking import Audit as Submitted
from service.client.blocking import Client
from service.client.requests import RequestFields

log = logging.getLogger(__name__)
MODEL = "model"
HISTORY = "history.json"


class Audit(keras.callbacks.Callback):  # type: ignore[misc]  # Keras publishes no types
    """Exports the model at the end of training and submits it, with the history of its training.

    The data are the files that the model was trained on, not what `fit` was given: the audit reads them anew, through
    the preprocessing that is in the model.

    Args:
        client: of the service.
        export_to: folder for the SavedModel (`model/`) and the history (`history.json`); made where missing.
        upload: send model and data to the service; see `Client.submit`.
        raise_errors: raise where the service refuses or cannot be reached. Otherwise that is logged: hours of
            training are not lost to a service that is away.
        **fields: of the request; `train` and `validation` are required, and `label` for tables.

    Attributes:
        audit: what was submitted, once training has ended.
        error: why nothing was.
        history: metric -> its value after each epoch; None where it was not measured. `learning_rate` is the
            optimizer's at the end of the epoch.
    """

    def __init__(
        self,
        client: Client,
        *,
        export_to: str | PathLike[str],
        upload: bool = False,
        raise_errors: bool = False,
        **fields: Unpack[RequestFields],
    ) -> None:
        super().__init__()
        self._client = client
        self._folder = Path(export_to)
        self._upload = upload
        self._raise_errors = raise_errors
        self._fields = fields
        self.history: dict[str, list[float | None]] = {}
        self.audit: Submitted | None = None
        self.error: ProblemError | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as Keras calls it
        self.history, self.audit, self.error = {}, None, None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        measured = {**_rate_of(self.model), **(logs or {})}
        for name in {*self.history, *measured}:
            values = self.history.setdefault(name, [None] * epoch)
            values.append(_number(measured.get(name)))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as Keras calls it
        self._folder.mkdir(parents=True, exist_ok=True)
        model, history = self._folder / MODEL, self._folder / HISTORY
        self.model.export(str(model), verbose=False)
        history.write_text(json.dumps(self.history, indent=1), encoding="utf-8")
        fields: RequestFields = {"history": history, **self._fields, "model": model}
        try:
            self.audit = self._client.submit(upload=self._upload, **fields)
        except ProblemError as error:
            self.error = error
            if self._raise_errors:
                raise
            log.error("The model in %s was not submitted: %s", model, error)  # noqa: TRY400 - the sentence says it
        else:
            log.info("Audit %s: %s", self.audit.id, self.audit.page)


def _rate_of(model: Any) -> Mapping[str, Any]:
    """The learning rate; what a schedule gives, at this step."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return {}
    return {"learning_rate": keras.ops.convert_to_numpy(optimizer.learning_rate)}


def _number(value: Any) -> float | None:
    """JSON knows no NaN, which a diverged loss is."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
