"""The GPUs of this host, found without loading a driver."""

import os
from collections.abc import Mapping
from pathlib import Path


def gpus(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> list[str]:
    """The devices as CUDA names them: those that ``CUDA_VISIBLE_DEVICES`` allows, else all NVIDIA ones."""
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        named = [device.strip() for device in allowed.split(",")]
        # CUDA ignores what stands behind the first device that is none.
        none = next((i for i, device in enumerate(named) if device in {"", "-1", "NoDevFiles"}), len(named))
        return named[:none]
    numbers = [path.name.removeprefix("nvidia") for path in devices.glob("nvidia[0-9]*")]
    return sorted(numbers, key=int)
