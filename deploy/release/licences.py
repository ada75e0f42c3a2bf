"""Which licences a package may have to be shipped with Weir, and what a package says of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

ALLOWED: Final = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0",
    "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "ZPL-2.1",
})  # fmt: skip
"""By SPDX identifier: licences that let an Apache-2.0 work depend on the package unchanged (MPL-2.0: its own files
stay under it)."""
_NAMES: Final = {
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "public domain": "CC0-1.0",
    "repoze public license": "ZPL-2.1",
    "zope public license": "ZPL-2.1",
}
"""What packages without an SPDX expression call them, in classifiers or in a line of text."""
_KNOWN: Final = {name.lower(): name for name in ALLOWED}


def licence_expression(expression: str, classifiers: Iterable[str], text: str) -> str:
    """SPDX expression of what a package's metadata says: License-Expression, else its licence classifiers joined by
    AND, else the first line of License. "" where nothing of it is known."""
    if expression:
        return expression
    named = [
        classifier.rpartition("::")[2].strip() for classifier in classifiers if classifier.startswith("License ::")
    ]
    found = [_NAMES.get(name.lower()) or _KNOWN.get(name.lower()) for name in named if name != "DFSG approved"]
    if found and None not in found:
        return " AND ".join(dict.fromkeys(filter(None, found)))
    first = text.strip().partition("\n")[0].strip().lower()
    return _NAMES.get(first) or _KNOWN.get(first) or ""


def is_allowed(expression: str) -> bool:
    """Whether every licence that must be kept to is allowed: all sides of AND, one side of OR."""
    if not expression:
        return False
    text = re.sub(r"\bWITH\s+[\w.-]+", "", expression)
    while (inner := re.search(r"\(([^()]*)\)", text)) is not None:
        text = text[: inner.start()] + ("MIT" if is_allowed(inner[1]) else "refused") + text[inner.end() :]
    return any(
        all(name.strip() in ALLOWED for name in re.split(r"\bAND\b", side)) for side in re.split(r"\bOR\b", text)
    )
