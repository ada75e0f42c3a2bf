"""``python -m deploy.image.runtime_lock``: the part of ``deploy/requirements.lock`` that the image installs, with its
hashes, to standard output. Needs the standard library alone.

Left out: development, and ``chdb`` with what only it needs (the engine of the local stack, two thirds of a
gigabyte). ``--only NAME``: that package instead, for the build.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_LOCAL_STACK: Final = frozenset({"chdb"})
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==")
_NAME: Final = re.compile(r"^[A-Za-z0-9._-]+")
_VIA: Final = re.compile(r"^    #(?: via|  )\s*([A-Za-z0-9._-]+)")


def entries(lock: str) -> dict[str, str]:
    """Each package's lines of a lock file, by name in small letters."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if (pin := _PIN.match(line)) is not None:
            name = _canonical(pin[1])
        if name:
            found[name] = found.get(name, "") + line + "\n"
    return found


def needed(packages: Mapping[str, str], direct: Iterable[str]) -> set[str]:
    """``direct`` and all that is locked because of them, as the comments "via" say."""
    children: dict[str, set[str]] = {}
    for name, lines in packages.items():
        for line in lines.splitlines():
            if (via := _VIA.match(line)) is not None:
                children.setdefault(_canonical(via[1]), set()).add(name)
    found: set[str] = set()
    waiting = [name for name in map(_canonical, direct) if name in packages]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += children.get(name, ())
    return found


def runtime_lock(lock: str, direct: Iterable[str]) -> str:
    """The lines of ``lock`` that ``direct`` needs, in their order."""
    packages = entries(lock)
    wanted = needed(packages, direct)
    return "".join(lines for name, lines in packages.items() if name in wanted)


def runtime_names(pyproject: str) -> list[str]:
    """What Weir depends on in a cluster."""
    texts = tomllib.loads(pyproject)["project"]["dependencies"]
    names = [match[0] for text in texts if (match := _NAME.match(text)) is not None]
    return [name for name in names if _canonical(name) not in _LOCAL_STACK]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image.runtime_lock")
    parser.add_argument("--only", help="this package instead")
    only = parser.parse_args().only
    direct = [only] if only else runtime_names((_ROOT / "pyproject.toml").read_text("utf8"))
    sys.stdout.write(runtime_lock((_ROOT / "deploy" / "requirements.lock").read_text("utf8"), direct))
    return 0


if __name__ == "__main__":
    sys.exit(main())
