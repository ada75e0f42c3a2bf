"""One scenario in a process of its own, for bench_noisy.py: `python -m noise SCENARIO CONFIG prepare|SECONDS`."""

from __future__ import annotations

import json
import sys

from noise.scenarios import SCENARIOS
from noise.tenant import Noisy


def main() -> None:
    """The command line."""
    name, config, asked = sys.argv[1:]
    prepare, noise = SCENARIOS[name]
    noisy = Noisy(**json.loads(config))
    if asked == "prepare":
        prepare(noisy)
        return
    print("begun", flush=True)
    print(json.dumps(noise(noisy, float(asked))))


if __name__ == "__main__":
    main()
