"""An origin: a site that a browser knows by scheme, host and port."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

_HOST = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
SiteOrigin = Annotated[
    str,
    StringConstraints(
        max_length=256, pattern=rf"^(https://{_HOST}|http://(localhost|127\.0\.0\.1))(:[1-9][0-9]{{0,4}})?$"
    ),
]
"""In small letters, without a path, with HTTPS but on this machine. It goes into a header: nothing else fits."""
