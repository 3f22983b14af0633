"""The documentation of a finding, as the catalogue gives it."""

from pydantic import Field, JsonValue

from schemas.base import Sent
from schemas.report import Family


class LimitEntry(Sent):
    """A limit that a request may override under `checks.limits`."""

    name: str
    default: JsonValue
    description: str | None = None


class CatalogueEntry(Sent):
    """Everything there is to know about one finding before it is ever reported."""

    code: str = Field(examples=["preprocessing.scaling_mismatch"])
    family: Family
    title: str = Field(description="The defect in one sentence.")
    measures: str = Field(description="What is measured, and how.")
    why: str = Field(description="Why it matters.")
    inconclusive: str = Field(description="When the check cannot tell.")
    fix: str = Field(description="How to mend it.")
    reference: str = Field(description="Where the method comes from.")
    limits: list[LimitEntry] = []


class Catalogue(Sent):
    items: list[CatalogueEntry]
