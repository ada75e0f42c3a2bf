"""Which stack a command talks to: WEIR_* variables first, then the local stack that is running, then the defaults.

Most commands go by HTTP: two URLs and a key are all they need (``Services``). The few that work on Kafka and ClickHouse
themselves take ``connection``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from deploy.cli.errors import FAILED, USAGE, Failure, problem_text, refused_parameters
from schemas.http.tls_context import ServiceTls, client_context, service_tls
from schemas.values.record_copy import replace

if TYPE_CHECKING:
    import httpx

    from schemas.catalog.state import NamespaceView
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; WEIR_NAMESPACE, the key's own or default where none is given."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ServiceName = Literal["gateway", "rating"]

STORES: Final = "Works on Kafka and ClickHouse themselves (WEIR_KAFKA_*, WEIR_CLICKHOUSE_*): a key is not enough."
"""What the help of a command says that needs the stores."""
READ_KEY: Final = "By HTTP: a key with the scope read is enough (WEIR_KEY)."
CATALOG_KEY: Final = "By HTTP: a key with the scope catalog is enough (WEIR_KEY)."
INGEST_KEY: Final = "By HTTP: a key with the scope ingest is enough (WEIR_KEY); for history, admin."
ADMIN_KEY: Final = "By HTTP: a key with the scope admin is enough (WEIR_KEY)."

_STORE_VARIABLES: Final = ("WEIR_KAFKA_BOOTSTRAP", "WEIR_CLICKHOUSE_HOST", "WEIR_CLICKHOUSE_PORT")
_ADDRESSES: Final = (
    *_STORE_VARIABLES,
    "WEIR_GATEWAY_HOST",
    "WEIR_GATEWAY_PORT",
    "WEIR_RATING_HOST",
    "WEIR_RATING_PORT",
)
_URLS: Final[dict[ServiceName, str]] = {"gateway": "WEIR_GATEWAY_URL", "rating": "WEIR_RATING_URL"}
_KEY: Final = "WEIR_KEY"


def data_dir() -> Path:
    """The local stack's folder."""
    return Path(os.environ.get("WEIR_DATA_DIR") or ".weir").absolute()


def connection(
    namespace: str | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    local_stack: bool = False,
) -> Settings:
    """Settings to connect to the stores with. Raises Failure where nothing says where they are, SettingsError for wrong
    variables.

    Where URLs name services and no variable names a store, the local stack is not taken in its place: a command would
    work on another installation than the one next to it. ``local_stack``: it alone is meant.
    """
    from deploy.local.stack_secrets import admin_key, clickhouse_password
    from deploy.local.stack_state import read_state
    from schemas.settings import load_settings

    env = os.environ if environ is None else environ
    folder = folder or data_dir()
    urls = [name for name in _URLS.values() if env.get(name)]
    if urls and not local_stack and not any(name in env for name in _STORE_VARIABLES):
        raise Failure(
            f"this command works on Kafka and ClickHouse themselves, and {urls[0]} names a service alone: set"
            " WEIR_KAFKA_BOOTSTRAP and WEIR_CLICKHOUSE_HOST too, or unset it to work on the local stack"
        )
    overrides: dict[str, str] = {}
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
        raise Failure(
            f"no stack is running on {folder}: start one with `weir up`, or set WEIR_* to reach another"
            " (WEIR_RATING_URL, WEIR_GATEWAY_URL and WEIR_KEY for most commands)"
        )
    if chosen := _namespace(namespace, env):
        overrides["namespace"] = chosen
    return load_settings(**overrides)


def names_installation(environ: Mapping[str, str], local: Mapping[str, str]) -> bool:
    """Whether variables name another installation than the local stack, whose settings are ``local`` ({}: none
    runs)."""
    return any(environ.get(name, "") not in ("", local.get(name, "")) for name in (*_STORE_VARIABLES, *_URLS.values()))


def names_stores(environ: Mapping[str, str]) -> bool:
    """Whether a variable names Kafka or ClickHouse."""
    return any(environ.get(name) for name in _STORE_VARIABLES)


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two services answer, and as whom they are asked. A URL that nothing names is ""."""

    gateway_url: str
    rating_url: str
    key: str
    namespace: str
    tls: ServiceTls = field(default_factory=ServiceTls)

    def url(self, service: ServiceName) -> str:
        """Where a service answers. Raises Failure where nothing says so."""
        url = self.gateway_url if service == "gateway" else self.rating_url
        if not url:
            raise Failure(f"{_URLS[service]} is not set: this command asks the {service} service; set it to its URL")
        return url

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"authorization": f"Bearer {self.key}", "weir-namespace": self.namespace}

    def http(self, service: ServiceName, *, timeout: float = 120.0) -> httpx.Client:
        """A client of a service, with key and namespace. Close it."""
        import httpx

        url = self.url(service)
        verify = client_context(url, self.tls)
        return httpx.Client(base_url=url, headers=self.headers(), timeout=timeout, verify=verify)


def services(
    namespace: str | None = None, *, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Services:
    """WEIR_GATEWAY_URL, WEIR_RATING_URL and WEIR_KEY; without a URL what ``connection`` says. Raises Failure.

    The local stack's key is never sent to a URL that a variable names.
    """
    env = os.environ if environ is None else environ
    gateway, rating = (env.get(name, "").rstrip("/") for name in _URLS.values())
    if not gateway and not rating:
        local = services_of(connection(namespace, folder=folder, environ=environ))
        return replace(local, key=env.get(_KEY) or local.key)
    key = env.get(_KEY) or env.get("WEIR_ADMIN_KEY", "")
    if not key:
        raise Failure(f"{_KEY} is not set: set it to the key that the service is to be asked with")
    tls = ServiceTls(*(env.get(f"WEIR_HTTP_{name}", "") for name in ("CA", "CERTIFICATE", "KEY_FILE")))
    return Services(gateway, rating, key, _namespace(namespace, env) or "default", tls)


def services_of(settings: Settings) -> Services:
    """The services of these settings, asked with the admin key."""
    return Services(
        base_url(settings, "gateway"),
        base_url(settings, "rating"),
        settings.admin_key.get_secret_value(),
        settings.namespace,
        service_tls(settings),
    )


def _namespace(namespace: str | None, env: Mapping[str, str]) -> str | None:
    """The namespace that an option, WEIR_NAMESPACE or WEIR_KEY names, in this order."""
    from schemas.http.api_keys import key_name

    named = key_name(env.get(_KEY, ""))
    return namespace or env.get("WEIR_NAMESPACE") or (named.namespace if named is not None else None)


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


def base_url(settings: Settings, service: ServiceName) -> str:
    """Where a service of these settings answers."""
    from schemas.settings import askable

    if service == "gateway":
        return f"http://{askable(settings.gateway_host)}:{settings.gateway_port}"
    return f"http://{askable(settings.rating_host)}:{settings.rating_port}"


def checked(response: httpx.Response) -> Any:
    """The answer's JSON. Raises Failure with the problem's places: code 2 where the request is at fault."""
    if response.is_success:
        return _json(response)
    raise Failure(f"{_answered(response)}: {_problem(response)}", _code(response))


def answered(response: httpx.Response, options: Mapping[str, str] | None = None) -> Any:
    """The answer's JSON, for a command whose options are the request's parameters: a refusal names the option and not
    the request. ``options``: parameter → option. Raises Failure."""
    refuse(response, options)
    return _json(response)


def pages(client: httpx.Client, path: str, parameters: Mapping[str, str] | None = None) -> Iterator[JsonObject]:
    """All pages of a list, each ``answered``. Raises Failure."""
    cursor: str | None = None
    while True:
        paging = {} if cursor is None else {"cursor": cursor}
        page: JsonObject = answered(client.get(path, params={**(parameters or {}), **paging}))
        yield page
        if (cursor := page["next_cursor"]) is None:
            return


def refuse(response: httpx.Response, options: Mapping[str, str] | None = None) -> None:
    """Raises Failure where the service refused; see ``answered``."""
    if response.is_success:
        return
    text = refused_parameters(_body(response), options or {}) or _problem(response)
    if response.status_code not in (400, 404, 409, 422):
        text = f"{_answered(response)}: {text}"
    if text.startswith("there is no namespace"):
        text += ". Declare it with `weir apply`"
    raise Failure(text, _code(response))


def _json(response: httpx.Response) -> Any:
    """The JSON of a success. Raises Failure where it is none: somebody else answers at that URL."""
    try:
        return response.json()
    except ValueError:
        raise Failure(
            f"{_answered(response)} without JSON: {response.request.url.host} is no service of Weir's; see"
            f" {' and '.join(_URLS.values())}"
        ) from None


def _body(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _problem(response: httpx.Response) -> str:
    body = _body(response)
    return problem_text(body) if body else response.text.strip()[:300]


def _answered(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.path} answered {response.status_code}"


def _code(response: httpx.Response) -> int:
    return USAGE if 400 <= response.status_code < 500 else FAILED
