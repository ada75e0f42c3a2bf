"""``weir backup`` and ``weir restore``: all that a local stack holds, as one file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.connection import JsonOption, data_dir


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it holds keys and passwords, too.")],
    json_output: JsonOption = False,
) -> None:
    """Write all that the stopped stack holds (topics, tables, keys) to one file, with a checksum of each part.

    Stop it first (`weir down`): the file is then of one instant. deploy/guides/backup.md: other installations.
    """
    from importlib.metadata import version

    from deploy.backup.folder_archive import write_backup
    from deploy.cli.output import print_json, say
    from deploy.local.stack_state import lock_data_dir
    from schemas.values.instants import rfc3339

    folder = data_dir()
    with lock_data_dir(folder):
        made = rfc3339(int(datetime.now(UTC).timestamp() * 1_000_000))
        manifest = write_backup(folder, file.absolute(), weir=version("weir"), made=made)
    if json_output:
        print_json({"file": str(file), "files": len(manifest.files), "bytes": manifest.size, "made": made})
    else:
        say(f"{file}: {len(manifest.files)} files, {manifest.size:,} bytes of {folder}")


def restore(
    file: Annotated[Path, typer.Argument(help="What `weir backup` wrote.")],
    json_output: JsonOption = False,
) -> None:
    """Bring a backup into an empty folder (WEIR_DATA_DIR, .weir by default), whole or not at all. `weir up` then goes
    on from it; `weir verify` compares totals, invoices and books with the events."""
    from deploy.backup.folder_archive import restore_backup
    from deploy.cli.output import print_json, say
    from deploy.local.stack_state import lock_data_dir

    folder = data_dir()
    with lock_data_dir(folder):
        manifest = restore_backup(file.absolute(), folder)
    if json_output:
        print_json({"folder": str(folder), "files": len(manifest.files), "bytes": manifest.size, "made": manifest.made})
    else:
        say(f"{folder}: {len(manifest.files)} files of {manifest.made}, by Weir {manifest.weir}; `weir up` starts it")
