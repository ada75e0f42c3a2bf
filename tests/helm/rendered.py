"""What must be so of every rendered chart, beyond what the API schemas say: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import SecretStr

from schemas.settings import Settings

Document = dict[str, Any]

_POD: Final = {"enableServiceLinks": False, "automountServiceAccountToken": False}
_USER: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pods(documents: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """Every pod's metadata and specification, by kind and name of what makes it."""
    for document in documents:
        spec = document.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield f"{document['kind']} {document['metadata']['name']}", template


def unsafe(documents: list[Document]) -> Iterator[str]:
    """What a pod may do that it need not, variables that no process reads or accepts, and what selects nothing."""
    labels = []
    for name, template in pods(documents):
        labels.append(template["metadata"]["labels"])
        spec = template["spec"]
        yield from (f"{name}: {fault}" for fault in _lacking(spec, _POD))
        yield from (f"{name}: {fault}" for fault in _lacking(spec["securityContext"], _USER))
        for container in spec["containers"]:
            yield from (f"{name}: {fault}" for fault in _lacking(container["securityContext"], _CONTAINER))
            if not {"cpu", "memory"} <= container["resources"]["requests"].keys():
                yield f"{name}: it requests no cpu or no memory"
            yield from (f"{name}: {fault}" for fault in _of_environment(container["env"]))
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            if mounts != {volume["name"] for volume in spec["volumes"]}:
                yield f"{name}: its mounts are not its volumes"
    for kind, selector in _selectors(documents):
        if not any(selector.items() <= pod.items() for pod in labels):
            yield f"{kind}: it selects no pod"


def _lacking(given: Document, needed: Document) -> Iterator[str]:
    yield from (
        f"{key} is {given.get(key)!r}, not {value!r}" for key, value in needed.items() if given.get(key) != value
    )


def _of_environment(env: list[Document]) -> Iterator[str]:
    names = [variable["name"] for variable in env]
    fields = {f"WEIR_{field.upper()}": field for field in Settings.model_fields}
    yield from (f"{name} is set twice" for name in sorted({name for name in names if names.count(name) > 1}))
    values: dict[str, str] = {}
    for variable in env:
        name = variable["name"]
        if name not in fields:
            yield f"{name} is no setting"
            continue
        secret = Settings.model_fields[fields[name]].annotation is SecretStr
        if secret != ("valueFrom" in variable):
            yield f"{name}: a secret comes from a Secret, and nothing else does"
        values[fields[name]] = variable.get("value", "secret")
    try:
        Settings.model_validate(values)
    except ValueError as error:
        yield str(error)


def _selectors(documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
    for document in documents:
        spec, kind = document["spec"], f"{document['kind']} {document['metadata']['name']}"
        selector = spec.get("podSelector") or spec.get("selector")
        if selector:
            yield kind, selector.get("matchLabels", selector)
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                own = peer.get("podSelector", {}).get("matchLabels")
                if own and "namespaceSelector" not in peer:
                    yield kind, own
