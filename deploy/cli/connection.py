"""Which stack a command talks to: WEIR_* variables first, then the local stack that is running, then the defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deploy.cli.errors import USAGE, Failure, problem_text

if TYPE_CHECKING:
    import httpx

    from schemas.catalog.state import NamespaceView
    from schemas.settings import Settings

NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; WEIR_NAMESPACE, or default, where none is given."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Service = Literal["gateway", "rating"]
_ADDRESSES = (
    "WEIR_KAFKA_BOOTSTRAP", "WEIR_CLICKHOUSE_HOST", "WEIR_CLICKHOUSE_PORT", "WEIR_GATEWAY_HOST", "WEIR_GATEWAY_PORT",
    "WEIR_RATING_HOST", "WEIR_RATING_PORT",
)  # fmt: skip


def data_dir() -> Path:
    """The local stack's folder."""
    return Path(os.environ.get("WEIR_DATA_DIR") or ".weir").absolute()


def connection(
    namespace: str | None = None, *, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settings to connect with. Raises Failure where nothing says where to connect, SettingsError for wrong
    variables."""
    from deploy.local.keys import admin_key, clickhouse_password
    from deploy.local.state import read_state
    from schemas.settings import load_settings

    env = os.environ if environ is None else environ
    folder = folder or data_dir()
    overrides: dict[str, Any] = {}
    state = read_state(folder)
    if state is not None:
        # load_settings lets overrides win, so what the environment says is left to it.
        overrides = {
            name.removeprefix("WEIR_").lower(): value for name, value in state.settings.items() if name not in env
        }
        if "WEIR_ADMIN_KEY" not in env and (folder / "admin-key").exists():
            overrides["admin_key"] = admin_key(folder)
        if "WEIR_CLICKHOUSE_PASSWORD" not in env and "clickhouse" in state.processes:
            overrides["clickhouse_password"] = clickhouse_password(folder)
        overrides.pop("namespace", None)
    elif not any(name in env for name in _ADDRESSES):
        raise Failure(f"no stack is running on {folder}: start one with `weir up`, or set WEIR_* to reach another")
    if namespace is not None:
        overrides["namespace"] = namespace
    return load_settings(**overrides)


def declared(settings: Settings) -> NamespaceView:
    """The catalog of the settings' namespace as of now. Raises Failure (code 2) where it is not declared."""
    from schemas.catalog.follower import read_catalog

    catalog = read_catalog(settings)
    view = catalog.view(settings.namespace)
    if not view.known:
        known = ", ".join(catalog.namespaces())
        raise Failure(
            f"there is no namespace {settings.namespace}; known: {known}. Declare it with `weir apply`", USAGE
        )
    return view


def base_url(settings: Settings, service: Service) -> str:
    """Where a service listens."""
    if service == "gateway":
        return f"http://{settings.gateway_host}:{settings.gateway_port}"
    return f"http://{settings.rating_host}:{settings.rating_port}"


def http(settings: Settings, service: Service, *, timeout: float = 120.0) -> httpx.Client:
    """A client with the admin key and the namespace. Close it."""
    import httpx

    return httpx.Client(base_url=base_url(settings, service), headers=headers(settings), timeout=timeout)


def headers(settings: Settings) -> dict[str, str]:
    """What every request carries."""
    return {
        "authorization": f"Bearer {settings.admin_key.get_secret_value()}",
        "weir-namespace": settings.namespace,
    }


def checked(response: httpx.Response) -> Any:
    """The answer's JSON. Raises Failure with the problem's places: code 2 where the request is at fault."""
    if response.is_success:
        return response.json()
    try:
        body = response.json()
    except ValueError:
        body = {}
    text = problem_text(body) if isinstance(body, dict) and body else response.text.strip()[:300]
    where = f"{response.request.method} {response.request.url.path}"
    raise Failure(f"{where} answered {response.status_code}: {text}", USAGE if 400 <= response.status_code < 500 else 1)
