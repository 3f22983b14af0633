"""The artefacts of one audit, opened: the model answers rows of the data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from audits.artefacts import Array, ClassList, Model, ModelInternals, Rows, Split
from audits.evidence.binding import Binding
from audits.evidence.labels import as_name
from audits.evidence.meaning.heads import Candidates
from audits.evidence.meaning.shapes import is_text
from audits.evidence.tables import TableGuard
from audits.naming import listed
from audits.sources.graph.class_lists import class_lists, restored_lists
from schemas.problem import ModelError
from schemas.request import AuditRequest


@dataclass(frozen=True)
class Opened:
    """Model and data, and how the one is fed with the other.

    Attributes:
        internals: what the model itself holds about its data, or None where that cannot be read.
        guard: stands before the model for ids that it cannot look up.
        heads: the outputs that may be judged.
        named: lists of class names that the model repeats in every row, by output; filled as it answers.
    """

    request: AuditRequest
    model: Model
    internals: ModelInternals | None
    guard: TableGuard
    binding: Binding
    heads: Candidates
    train: Split
    validation: Split
    named: dict[str, ClassList] = field(default_factory=dict)

    def outputs(self, rows: Rows) -> dict[str, Array]:
        """The outputs that may be judged, name -> (rows, ...).

        Raises:
            ModelError: none of them has one answer a row.
        """
        every = self._answers(rows)
        self._note_names(every)
        found = {name: every[name] for name in self.heads.names if name in every}
        if not found:
            raise _unusable(self.heads.names)
        per_row = {name: output for name, output in found.items() if len(output) == len(rows)}
        if not per_row:
            raise _other_rows(*next(iter(found.items())), len(rows))
        return per_row

    def answers_for(self, tensor: str | None) -> Callable[[Rows], Mapping[str, Array]]:
        """The function that answers rows with one output, or with all that may be judged."""
        if tensor is None:
            return self.outputs
        return lambda rows: {tensor: self.output(rows, tensor)}

    def output(self, rows: Rows, tensor: str) -> Array:
        """(rows, ...) of one output.

        Raises:
            ModelError: it has not one answer a row.
        """
        output = self._answers(rows)[tensor]
        if len(output) != len(rows):
            raise _other_rows(tensor, output, len(rows))
        return output

    def _answers(self, rows: Rows) -> dict[str, Array]:
        return self.guard.predict(self.binding.inputs(rows), self.model.predict)

    def class_lists(self) -> tuple[ClassList, ...]:
        """Names of classes that the model answers beside its scores, and those that it carries."""
        return *self.named.values(), *class_lists(self.model.description), *restored_lists(self.model)

    def _note_names(self, outputs: Mapping[str, Array]) -> None:
        """An estimator repeats the names of its classes in every row."""
        for name, output in outputs.items():
            if name not in self.named and is_text(output) and output.ndim == 2 and output.shape[1] > 1 and len(output):
                self.named[name] = ClassList(tuple(as_name(text) for text in output[0]), f"the output {name!r}")


def _unusable(names: Sequence[str]) -> ModelError:
    return ModelError(
        "output_unusable",
        f"The output {listed(names)} is no dense array of numbers or texts with one answer a row. Name another in "
        "output.tensor, or export a signature with one.",
        field="output.tensor",
    )


def _other_rows(tensor: str, output: Array, rows: int) -> ModelError:
    return ModelError(
        "output_rows_mismatch",
        f"Output {tensor!r} has {len(output)} rows for {rows} rows of input; one answer per row is needed.",
        field="output.tensor",
    )
