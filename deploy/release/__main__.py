"""``python -m deploy.release``: write the bill of materials to ``build/sbom.json`` and check the licences of what runs
with Weir.

Exit code 1 where a package that is shipped is not installed as locked, or has a licence that is not allowed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from deploy.release.bill_of_materials import (
    LockedPackage,
    bill_of_materials,
    locked_packages,
    shipped,
)
from deploy.release.licences import is_allowed, licence_expression

_ROOT = Path(__file__).resolve().parents[2]


def required_names(name: str) -> list[str]:
    """What an installed package needs here, without its extras; [] where it is not installed."""
    from packaging.requirements import Requirement

    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    requirements = [Requirement(text) for text in texts]
    return [need.name for need in requirements if need.marker is None or need.marker.evaluate({"extra": ""})]


def licence_of(name: str) -> str:
    """The SPDX expression of an installed package's metadata, "" where it says none."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    expression, text = (next(iter(said.get_all(name) or ()), "") for name in ("License-Expression", "License"))
    return licence_expression(expression, said.get_all("Classifier") or (), text)


def licence_faults(packages: list[LockedPackage], licences: dict[str, str], needed: set[str]) -> Iterator[str]:
    """A sentence for each shipped package that may not be shipped as it is."""
    locked = {package.name: package for package in packages}
    for name in sorted(needed - {"weir"}):
        try:
            present = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # of another system or Python
        if name not in locked:
            yield f"{name} is not in the lock file"
        elif present != locked[name].version:
            yield f"{name} is {present} here, and {locked[name].version} in the lock file: make setup"
        if not is_allowed(licences.get(name, "")):
            words = licences.get(name) or "in words that are not known"
            yield f"{name} is licensed {words}: see deploy/release/licences.py"


def main() -> int:
    """The command line."""
    packages = locked_packages((_ROOT / "deploy" / "requirements.lock").read_text())
    names = {package.name for package in packages}
    needed = shipped(["weir"], {name: required_names(name) for name in {*names, "weir"}}) & {*names, "weir"}
    licences = {name: licence_of(name) for name in names}
    jars = [path.name for path in (_ROOT / ".weir" / "kafka-libs").glob("*.jar")]
    document = bill_of_materials(metadata.version("weir"), packages, licences, needed, jars)
    target = _ROOT / "build" / "sbom.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")
    faults = list(licence_faults(packages, licences, needed))
    print(f"{target}: {len(document['components'])} components, {len(needed) - 1} of them run with Weir")  # noqa: T201
    for fault in faults:
        print(f"WRONG: {fault}")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
