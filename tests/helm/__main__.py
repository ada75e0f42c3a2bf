"""``python -m tests.helm``: Helm lints and renders the chart, kubeconform holds what comes against the API schemas.

``helm`` and ``kubeconform`` are built once, into ``build/helm``, from pinned Go modules (some minutes; needs Go and a
module proxy). The schemas come with the package ``kubernetes-validate`` (``schemas.lock``), since kubeconform's own
source is no package registry. Each case of ``cases.py`` is rendered for the oldest and the newest Kubernetes that the
chart is for; each broken one must be refused by the chart's own schema, in the words that are named. Exit code 0: all
as they should be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from tests.helm.cases import CHART, GOOD, REFUSED, VERSIONS
from tests.helm.rendered import unsafe

_BUILD: Final = Path(__file__).resolve().parents[2] / "build" / "helm"
_MODULES: Final = {
    "helm": ("helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    "kubeconform": ("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
}
_PACKAGED: Final = Path("kubernetes_validate") / "kubernetes-json-schema"


def program(name: str) -> Path:
    """A pinned program; built where it is missing."""
    module, version = _MODULES[name]
    folder = _BUILD / f"{name}-{version}"
    if not (folder / name).exists():
        environment = os.environ | {"GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "install", f"{module}@{version}"], check=True, env=environment)
    return folder / name


def schemas() -> Path:
    """A folder of API schemas, one folder a version, whose references lead to files beside them."""
    package, folder = _BUILD / "schemas-package", _BUILD / "schemas"
    for version in VERSIONS:
        target = folder / f"v{version}"
        if (target / "complete").exists():
            continue
        lock = Path(__file__).with_name("schemas.lock")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--upgrade"]
        subprocess.run([*install, "--target", str(package), "-r", str(lock)], check=True)
        target.mkdir(parents=True, exist_ok=True)
        for source in (package / _PACKAGED / f"v{version}-local-strict").glob("*.json"):
            (target / source.name).write_text(beside(source.read_text()))
        (target / "complete").touch()
    return folder


def beside(schema: str) -> str:
    """A packaged schema whose references are relative to its own file, not to a site."""
    document = json.loads(schema)
    document.pop("$id", None)
    return json.dumps(document).replace('"/api/_definitions.json#', '"_definitions.json#')


def faults() -> Iterator[str]:
    """What is wrong with the chart, with the words of the tool that found it."""
    helm, kubeconform, folder = str(program("helm")), str(program("kubeconform")), schemas()
    location = f"{folder}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    for name, values in GOOD.items():
        lint = _run([helm, "lint", "--strict", "--quiet", str(CHART), "--values", "-"], json.dumps(values))
        if lint.returncode:
            yield f"{name}: {lint.stdout}{lint.stderr}"
        for version in VERSIONS:
            rendered = _render(helm, version, values)
            if rendered.returncode:
                yield f"{name}, Kubernetes {version}: {rendered.stderr}"
                continue
            check = [kubeconform, "-strict", "-summary", "-kubernetes-version", version, "-schema-location", location]
            held = _run(check, rendered.stdout)
            print(f"{name}, Kubernetes {version}: {held.stdout.strip()}")
            documents = [document for document in yaml.safe_load_all(rendered.stdout) if document]
            yield from (f"{name}, Kubernetes {version}: {fault}" for fault in unsafe(documents))
            if held.returncode:
                yield f"{name}, Kubernetes {version}: {held.stdout}{held.stderr}"
    for words, values in REFUSED.items():
        rendered = _render(helm, VERSIONS[-1], values)
        if not rendered.returncode or words not in rendered.stderr:
            yield f"{json.dumps(values)} should be refused with {words!r}: {rendered.returncode} {rendered.stderr}"


def _render(helm: str, version: str, values: object) -> subprocess.CompletedProcess[str]:
    command = [helm, "template", "weir", str(CHART), "--namespace", "billing", "--kube-version", version]
    return _run([*command, "--values", "-"], json.dumps(values))


def _run(command: list[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def main() -> int:
    """The command line."""
    found = list(faults())
    for fault in found:
        print(f"WRONG: {fault}", file=sys.stderr)
    print(f"{len(found)} faults of {len(GOOD)} renderings and {len(REFUSED)} refusals")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
