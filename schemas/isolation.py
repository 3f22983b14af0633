"""How well what ran a model was locked in."""

from typing import Literal

from pydantic import Field

from schemas.base import Sent

Level = Literal["none", "weak", "strong", "full"]
Sandbox = Literal["require", "auto", "off"]
LEVELS: tuple[Level, ...] = ("none", "weak", "strong", "full")  # weakest first
REQUIRED: Level = "strong"


class Isolation(Sent):
    """What locks a process in, as it was found to work there: forbidden acts were tried and failed."""

    level: Level = Field(
        "none",
        description="`full`: files, network, processes and signals are closed by Landlock (ABI 4 or later) and by "
        "seccomp. `strong`: likewise with an older Landlock, where seccomp alone closes the network. `weak`: one of "
        "the two is missing. `none`: both are.",
    )
    landlock_abi: int = Field(0, ge=0, description="Version of the kernel's interface; 0 where there is none.")
    seccomp: bool = Field(False, description="Whether system calls are filtered.")
    network: Literal["denied", "allowed"] = "allowed"
    memory_bytes: int | None = Field(None, description="The process is killed when it holds more; null: no limit.")
    gpu_profile: bool = Field(False, description="Whether the NVIDIA driver's files are within reach.")
    missing: list[str] = Field([], description="Layers that are not there, and forbidden acts that did not fail.")

    def reaches(self, level: Level) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)
