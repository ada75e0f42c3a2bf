"""Sets one invoice, in a process of its own: the template's values as JSON on standard input, the PDF on standard
output. It takes at most so much memory and CPU; what is more ends it. Run as a file, so that it loads nothing of Weir.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

MEMORY_BYTES = 1536 * 1024 * 1024
CPU_SECONDS = 20
HERE = Path(__file__).parent


def main() -> None:
    """Exit code 0: the PDF is written; anything else: why not is on standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["RAYON_NUM_THREADS"] = "1"
    import typst

    pdf = typst.compile(
        str(HERE / "invoice.typ"),
        root=str(HERE),
        font_paths=[str(HERE / "fonts")],
        ignore_system_fonts=True,
        sys_inputs={"invoice": sys.stdin.buffer.read().decode()},
    )
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
