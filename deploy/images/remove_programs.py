"""Leaves an image nothing to run but Python: no shell, no package manager, no tools that a stranger could make use of.

Runs while the image of the API is built, with nothing but the standard library.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

# Programs of the system, and what installs others.
FOLDERS = (
    *("bin", "sbin", "usr/bin", "usr/sbin", "usr/libexec", "usr/games", "usr/local/sbin"),
    *("usr/lib/apt", "usr/lib/dpkg", "usr/share/perl5", "usr/lib/perl5", "etc/apt", "etc/dpkg"),
    *("var/lib/apt", "var/lib/dpkg", "var/cache/apt"),
)
LOCAL = "usr/local/bin"
PYTHON = "python"


def main(root: Path) -> None:
    for path in doomed(root):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def doomed(root: Path) -> Iterator[Path]:
    """What goes: all that lies in the folders, everything beside the interpreter, and pip."""
    for folder in FOLDERS:
        # /bin is a link to /usr/bin on most systems, and is looked into once.
        if (root / folder).is_dir() and not (root / folder).is_symlink():
            yield from (root / folder).iterdir()
    yield from (path for path in (root / LOCAL).iterdir() if not path.name.startswith(PYTHON) or "config" in path.name)
    for packages in (root / "usr/local/lib").glob("python3*"):
        yield packages / "ensurepip"
        yield from (packages / "site-packages").glob("pip*")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
