"""Our gateway as an application that granian serves, for the comparison of servers."""

from __future__ import annotations

import os
from typing import Any

from ingest.app import create_app
from schemas.settings import load_settings


def create() -> Any:
    """The application; a fatal error ends the process as the gateway's own main does."""
    return create_app(load_settings(), on_fatal=lambda: os._exit(70), stopping=lambda: False)
