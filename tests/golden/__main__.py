"""``python -m tests.golden``: write the documents anew, and add ids of new cases. Ids that are there are never changed."""

from __future__ import annotations

import json
import sys

from tests.golden.made import DOCUMENTS, FOLDER, IDS, ids, text


def main() -> int:
    """1 where an id is another than it was: that is no golden file's fault."""
    known = json.loads(IDS.read_text()) if IDS.exists() else {}
    now = ids()
    changed = sorted(name for name in known if now.get(name) != known[name])
    IDS.write_text(text(now | known))
    for name, made in DOCUMENTS.items():
        (FOLDER / name).write_text(text(made()))
    if changed:
        print("these ids are others than before, and stay in ids.json as they were:", ", ".join(changed))
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
