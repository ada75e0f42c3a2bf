"""A CycloneDX 1.6 bill of materials: every Python package of the lock file with its hashes and licence, and every jar
of the local stack's Kafka. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_JAR: Final = re.compile(r"^(.+?)-(\d[\w.-]*)\.jar$")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package of the lock file. ``hashes``: SHA-256 of its files, any of which may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def locked_packages(lock: str) -> list[LockedPackage]:
    """The packages of a lock file with hashes."""
    packages: list[LockedPackage] = []
    for line in lock.splitlines():
        if (pin := _PIN.match(line)) is not None:
            packages.append(LockedPackage(canonical(pin[1]), pin[2], ()))
        elif packages and (digest := _HASH.search(line)) is not None:
            last = packages[-1]
            packages[-1] = LockedPackage(last.name, last.version, (*last.hashes, digest[1]))
    return packages


def canonical(name: str) -> str:
    """A distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shipped(root: Iterable[str], requires: Mapping[str, Iterable[str]]) -> set[str]:
    """Names that are needed to run: ``root`` and all that these require, and so on. ``requires`` names what a package
    needs without extras and development."""
    found: set[str] = set()
    waiting = [canonical(name) for name in root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [canonical(required) for required in requires.get(name, ())]
    return found


def bill_of_materials(
    version: str, packages: Iterable[LockedPackage], licences: Mapping[str, str], needed: set[str], jars: Iterable[str]
) -> dict[str, Any]:
    """The document. ``licences``: SPDX expression by package; ``needed``: packages that run with Weir, others are of
    development; ``jars``: file names."""
    weir = {
        "type": "application",
        "bom-ref": "weir",
        "name": "weir",
        "version": version,
        "licenses": _licence("Apache-2.0"),
    }
    components = [*_python(packages, licences, needed), *_java(jars)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": weir},
        "components": components,
        "dependencies": [{"ref": "weir", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _python(
    packages: Iterable[LockedPackage], licences: Mapping[str, str], needed: set[str]
) -> Iterator[dict[str, Any]]:
    for package in packages:
        place = f"pkg:pypi/{package.name}@{package.version}"
        yield {
            "type": "library",
            "bom-ref": place,
            "purl": place,
            "name": package.name,
            "version": package.version,
            "scope": "required" if package.name in needed else "excluded",
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
            "licenses": _licence(licences.get(package.name, "")),
        }


def _java(jars: Iterable[str]) -> Iterator[dict[str, Any]]:
    for jar in sorted(jars):
        if (parts := _JAR.match(jar)) is not None:
            yield {
                "type": "library",
                "bom-ref": f"jar:{jar}",
                "name": parts[1],
                "version": parts[2],
                "scope": "optional",  # of the local stack alone
            }


def _licence(expression: str) -> list[dict[str, str]]:
    return [{"expression": expression}] if expression else []
