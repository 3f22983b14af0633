"""What the limits of all checks share."""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The limits of one check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Repairable(Limits):
    """Limits of a check whose finding is proven by repairing the data and running the model again."""

    min_gain: float = Field(
        0.01, ge=0, lt=1, description="A repair must bring back more of the primary metric than this."
    )
    critical_gain: float = Field(
        0.05, gt=0, description="From this gain on, the number as reported is not usable: critical."
    )
    min_rows: int = Field(
        30,
        ge=2,
        description="Fewer validation rows: distributions cannot be compared, only exact tests are made.",
    )
    placebos: int = Field(
        19,
        ge=19,
        description="Placebo repairs; the true gain must exceed all (19: a one-sided level of 5 %).",
    )
