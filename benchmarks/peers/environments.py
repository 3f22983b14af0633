"""An environment for each tool, with the releases that it needs."""

import subprocess
import sys
from pathlib import Path

# deepchecks 0.19.1 (its last release) needs older libraries, and pkg_resources, which setuptools 81 dropped;
# pyarrow 20 and later need numpy 2, and evidently imports a name that pandas 3 no longer has.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "deepchecks": (
        "deepchecks==0.19.1",
        "numpy<2",
        "pandas<2.2",
        "scikit-learn<1.4",
        "setuptools<81",
        "pyarrow<20",
    ),
    "evidently": ("evidently==0.7.23", "pandas<3", "pyarrow"),
    "cleanlab": ("cleanlab[datalab]==2.9.0", "pandas<3", "pyarrow"),
    "skore": ("skore==0.28.0", "pyarrow"),
}


def interpreter_of(tool: str, folder: Path) -> Path:
    """The tool's Python, its environment made below the folder where there is none.

    Raises:
        subprocess.CalledProcessError: it cannot be installed; pip has said why.
    """
    environment = folder / tool
    python = environment / "bin" / "python"
    finished = environment / "installed"
    if not finished.exists():
        print(f"{tool}: installing {', '.join(REQUIREMENTS[tool])} into {environment}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[tool]], check=True)
        finished.write_text("\n".join(REQUIREMENTS[tool]), encoding="utf-8")
    return python
