"""What a form does, as a call of the API and as a catalog document. Pure."""

from __future__ import annotations

import json
from decimal import Decimal
from shlex import quote as shell_quote
from typing import Any, Final
from urllib.parse import quote

import yaml

from rating.console.html import Html, tag
from rating.pricing import plain
from schemas.values.json_text import JsonObject


class _Dumper(yaml.SafeDumper):
    """Writes numbers without exponents, which `weir apply` would read as text, and the same object twice as twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", plain(Decimal(repr(number))))


_Dumper.add_representer(float, _float)
_WIDTH: Final = 110


def yaml_of(namespace: str, resource: str, body: JsonObject) -> str:
    """The document for `weir apply` that says the same. ``resource``: the part of the API's path, e.g. ``plans``."""
    document = {"namespace": namespace, resource.replace("-", "_"): [body]}
    return yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH)


def curl_of(
    url: str, namespace: str, resource: str, body: JsonObject | None, code: str | None, version: int | None
) -> str:
    """The call. ``code`` and ``version``: the entry that is replaced, None for a new one; ``body`` None: it is
    retired."""
    path = f"{url}/v1/{resource}" + (f"/{quote(code, safe='')}" if code is not None else "")
    method = "DELETE" if body is None else "POST" if code is None else "PUT"
    lines = [
        f"curl -X {method} {shell_quote(path)}",
        '-H "Authorization: Bearer $WEIR_KEY"',
        f"-H {shell_quote(f'Weir-Namespace: {namespace}')}",
    ]
    if version is not None:
        lines.append(f"-H 'If-Match: \"{version}\"'")
    if body is not None:
        text = json.dumps(body, ensure_ascii=False)
        lines += ["-H 'Content-Type: application/json'", f"--data {shell_quote(text)}"]
    return " \\\n  ".join(lines)


def shown_code(curl: str, yaml_text: str) -> Html:
    """Both, behind a heading."""
    return tag(
        "details",
        tag("summary", "The same by API and as a file"),
        tag("h3", "API"),
        tag("pre", curl, tabindex=0),
        tag("h3", "YAML, for `weir apply -f`"),
        tag("pre", yaml_text, tabindex=0),
        class_="more",
    )
