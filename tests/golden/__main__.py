"""``python -m tests.golden``: write the documents anew, and add ids and records of new cases. Those that are there are
never changed.

``--records`` writes the demo's records anew, too: where it is meant that they are others, such as entries with a new
field.
"""

from __future__ import annotations

import json
import sys

from tests.golden.made import DOCUMENTS, FOLDER, IDS, ids, text
from tests.golden.year import YEAR, golden


def main(arguments: list[str]) -> int:
    """1 where an id, or a record of the demo's year, is another than it was: that is no golden file's fault."""
    known = json.loads(IDS.read_text()) if IDS.exists() else {}
    now = ids()
    changed = sorted(name for name in known if now.get(name) != known[name])
    IDS.write_text(text(now | known))
    for name, made in DOCUMENTS.items():
        (FOLDER / name).write_text(text(made()))
    before = json.loads(YEAR.read_text()) if YEAR.exists() and "--records" not in arguments else {}
    year = json.loads(text(golden()))
    changed += sorted(name for name, digest in before.get("records", {}).items() if year["records"].get(name) != digest)
    YEAR.write_text(text({part: year[part] | before.get(part, {}) for part in year}))
    if changed:
        print("these are others than before, and stay in the golden files as they were:", ", ".join(changed))
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
