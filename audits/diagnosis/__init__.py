"""From findings and proofs to ranked causes, the parts of the gap, the verdict and one sentence."""

from audits.diagnosis.attribution import Attribution, attribute
from audits.diagnosis.decomposition import measure_gap
from audits.diagnosis.ranking import TOLD_BY, rank, tested_not_a_cause
from audits.diagnosis.verdict import summarise, verdict

__all__ = ["TOLD_BY", "Attribution", "attribute", "measure_gap", "rank", "summarise", "tested_not_a_cause", "verdict"]
