"""The secrets that a local stack makes for itself, each in a file of its folder."""

from __future__ import annotations

import secrets
from pathlib import Path

from deploy.local.files import private_folder, read_or_create

_MADE_ANEW = "delete the file, and `weir up` makes a new password"


def admin_key(data_dir: Path) -> str:
    """The stack's admin key, made once and kept in ``data_dir``/admin-key, readable by its owner alone.

    Raises BrokenFileError, as the passwords' functions do.
    """
    remedy = (
        "put the key that services and webhooks know back into it, or delete the file and `weir up` makes a new one"
    )
    return _secret(data_dir / "admin-key", "weir_admin_", remedy)


def clickhouse_password(data_dir: Path) -> str:
    """The password of the local ClickHouse's own user, kept in ``data_dir``/clickhouse-password."""
    return _secret(data_dir / "clickhouse-password", "weir_clickhouse_", _MADE_ANEW)


def analyst_password(data_dir: Path) -> str:
    """The password of its user ``analyst``, who reads the documented views, kept in
    ``data_dir``/clickhouse-analyst-password."""
    return _secret(data_dir / "clickhouse-analyst-password", "weir_analyst_", _MADE_ANEW)


def _secret(path: Path, prefix: str, remedy: str) -> str:
    if not path.parent.exists():
        private_folder(path.parent)
    return read_or_create(path, lambda: prefix + secrets.token_urlsafe(24), prefix=prefix, broken=remedy)
