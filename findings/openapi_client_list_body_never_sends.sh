#!/usr/bin/env bash
# A client made by openapi-python-client of an operation that takes one object or a list of them never sends anything: where the list is not
# the last of the possible bodies, the generated code asks isinstance(body, list[Model]), which Python refuses with TypeError on every call
# that gets that far. Generating ends with exit code 0 and without a warning, also under --fail-on-warning.
#
# Who meets it: whoever documents a door for usage events that takes a single CloudEvent or a batch of them under one path (CloudEvents'
# HTTP binding has both: application/cloudevents+json and application/cloudevents-batch+json), and lets customers generate their client.
# With the list last in a union of one media type, the generator's code falls through to it and works; as a media type of its own it never does.
#
# Package: openapi-python-client 0.29.1 (PyPI), seen 2026-11-28. Source: seen by running it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openapi-python-client==0.29.1
cd "$folder"
echo '{"post_hooks": []}' >config.json
cat >document.json <<'JSON'
{
  "openapi": "3.1.0", "info": {"title": "events", "version": "1"},
  "paths": {"/events": {"post": {"operationId": "send", "tags": ["events"], "responses": {"204": {"description": "taken"}},
    "parameters": [{"name": "X-Namespace", "in": "header", "required": false, "schema": {"type": "string"}}],
    "requestBody": {"required": true, "content": {
      "application/cloudevents+json": {"schema": {"$ref": "#/components/schemas/Event"}},
      "application/cloudevents-batch+json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}}}}}}},
  "components": {"schemas": {"Event": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}}
}
JSON
venv/bin/openapi-python-client generate --path document.json --output-path made --meta none --config config.json --fail-on-warning
venv/bin/python - <<'PY'
import sys

from made.api.events.send import _get_kwargs
from made.models import Event

told = {}
for name, body in (("a list", [Event("1")]), ("one event", Event("1"))):
    try:
        told[name] = f"sends {_get_kwargs(body=body)['json']}"
    except TypeError as error:
        told[name] = f"TypeError: {error}"
    print(f"{name}: {told[name]}")
sys.exit(0 if all("isinstance() argument 2" in each for each in told.values()) else 1)
PY
