"""The names under which the job engine keeps our work. Changing one strands what is queued under the old."""

from typing import Final

# Every service has these two; workers may serve queues of other names, each a class of hardware.
QUEUES: Final = ("cpu", "gpu")

APPLICATION: Final = "fitcheck"
SCHEMA: Final = "dbos"  # of the engine's own tables, where the database has schemas
WORKFLOW: Final = "audit"
STEP: Final = "evaluate"
# Every worker takes every audit; change it only with an incompatible body of the workflow.
VERSION: Final = "1"

MAX_DEATHS: Final = 3  # an audit whose worker dies so often is not started again
# The engine's own count includes orderly stops; it is left to end what kills workers before they count a start.
MAX_CLAIMS: Final = 100
