"""Runs one module's measures at one size: ``python -m growth.one MODULE SIZE`` prints a JSON object of figures."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, size = sys.argv[1:]
    print(json.dumps(dict(importlib.import_module(f"growth.{module}").measure(int(size)))))
