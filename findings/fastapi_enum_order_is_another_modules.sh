#!/usr/bin/env bash
# The order of an enum in FastAPI's OpenAPI document may be another module's. typing keeps its last 128 unions by equality, and
# Literal["void", "paid"] equals Literal["paid", "void"], so `Literal["void", "paid"] | None` gives back the other one where that was written
# beside None a moment before. FastAPI resolves a route's text annotations (`from __future__ import annotations`) when the route is made, and
# again when its router is included, so the document depends on what the process imported just before, also on modules that the service does
# not know, and on which test ran first.
#
# Who meets it: whoever keeps a billing API's document in the repository and compares it in CI, and generates clients from it (a state
# filter such as finalized, void, paid): the comparison fails in some orders of the tests alone.
# The remedy: compare the values of an enum as a set.
#
# Package: fastapi 0.165.0, pydantic 2.14.3 (PyPI), CPython 3.11; seen 2026-11-29. Source: seen by running it; typing's documentation
# says that Literals compare without order, and not that a union gives back the other one.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check fastapi==0.165.0 pydantic==2.14.3
cat > "$folder/service.py" <<'PY'
from __future__ import annotations

from typing import Literal

from fastapi import FastAPI

app = FastAPI()


@app.get("/invoices")
def invoices(state: Literal["finalized", "void", "paid"] | None = None) -> None: ...


def order() -> list[str]:
    return app.openapi()["paths"]["/invoices"]["get"]["parameters"][0]["schema"]["anyOf"][0]["enum"]
PY
cat > "$folder/elsewhere.py" <<'PY'
from typing import Literal, Union

States = Union[Literal["paid", "void", "finalized"], None]
PY
cd "$folder"
alone=$("$folder/venv/bin/python" -c 'import service; print(*service.order())')
after=$("$folder/venv/bin/python" -c 'import fastapi, elsewhere, service; print(*service.order())')
echo "the service alone: $alone"
echo "after the import of a module that it does not know: $after"
[ "$alone" = "finalized void paid" ] && [ "$after" = "paid void finalized" ]
