"""Connection settings of every process, read from the environment and validated at start.

Each field is one variable, ``WEIR_`` and the field's name in capitals. Secrets are ``SecretStr``: printing or
logging a ``Settings`` shows asterisks.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator

from schemas.errors import WeirError
from schemas.store_settings import StoreSettings
from schemas.values.receivers import Receiver, receivers_of

LISTED_VALUES: Final = 1_000


class SettingsError(WeirError):
    """A setting is missing or wrong; the message names the variable and the remedy."""


class Settings(StoreSettings):
    """All connection settings. Defaults fit the local stack of ``weir up``."""

    generation: int = Field(1, ge=1, description="generation of usage.events that a stack begins with")
    partitions: int = Field(
        4, ge=1, le=4096, description="partitions of usage.events at its creation; later: `weir generation change`"
    )

    admin_key: SecretStr = Field(SecretStr(""), description="the admin key that guards both HTTP services")
    oidc_issuer: str = Field(
        "",
        description="the OpenID Connect provider at which people log in to the console, as its discovery document "
        "names it; empty: none. Needs the three below",
    )
    oidc_client_id: str = Field("", description="this console's client id there")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="… and its secret; empty: a public client, by PKCE alone"
    )
    oidc_console_url: str = Field(
        "",
        description="where people reach the console, e.g. https://billing.example.com; the provider must allow "
        "/login/oidc/callback there as a redirect URI",
    )
    oidc_roles: str = Field(
        "",
        description="what the groups of the provider may: group=namespace:role[,group=namespace:role…] with the roles "
        "viewer, support, billing and admin; who has none of them is refused",
    )
    oidc_claim: str = Field("groups", description="the claim of the ID token that has a person's groups")
    oidc_scopes: str = Field("openid email profile", description="what the provider is asked for")
    key_requests_per_second: int = Field(
        2_000, ge=1, description="requests that one gateway takes of one API key a second"
    )
    key_events_per_second: int = Field(
        50_000, ge=1, description="events that one gateway takes of one API key a second"
    )
    key_bytes_per_second: int = Field(
        64 * 1024 * 1024, ge=1, description="bytes of bodies that one gateway takes of one API key a second"
    )
    namespace_requests_per_second: int = Field(
        8_000, ge=1, description="requests that one gateway takes of all keys of a namespace a second"
    )
    namespace_events_per_second: int = Field(
        200_000, ge=1, description="events that one gateway takes of all keys of a namespace a second"
    )
    namespace_bytes_per_second: int = Field(
        256 * 1024 * 1024,
        ge=1,
        description="bytes of bodies that one gateway takes of all keys of a namespace a second",
    )
    connections: int = Field(
        10_000,
        ge=10,
        description="connections that one gateway or rating service has at once; idle ones make room for new ones",
    )
    body_bytes: int = Field(
        256 * 1024 * 1024,
        ge=64 * 1024 * 1024,
        description="room of one gateway for bodies that are under way; a quarter of it for one namespace, an eighth "
        "for one key",
    )
    events_in_flight: int = Field(
        50_000, ge=100, description="accepted events that one gateway lets wait for Kafka; more are answered 503"
    )
    delivery_seconds: int = Field(
        10, ge=1, le=60, description="seconds a gateway waits for Kafka's acknowledgement before it answers 503"
    )
    gateway_host: str = Field("127.0.0.1", description="address the gateway binds to")
    gateway_port: int = Field(8080, ge=0, le=65535, description="port of the gateway")
    gateway_url: str = Field(
        "",
        description="where the rating service asks the gateway, for what the console changes in the catalog; empty: "
        "http:// and the gateway's host and port. `weir up` takes its own",
    )
    rating_host: str = Field("127.0.0.1", description="address the rating service binds to")
    rating_port: int = Field(8081, ge=0, le=65535, description="port of the rating service")
    rating_question_seconds: int = Field(
        30, ge=1, description="a question to the rating service is ended after so many seconds"
    )
    rating_long_question_seconds: int = Field(
        120, ge=1, description="… a simulation, a draft meter's trial, an export or a report of late usage"
    )
    rating_query_bytes: int = Field(
        1024 * 1024 * 1024, ge=64 * 1024 * 1024, description="memory of one query of the rating service in ClickHouse"
    )
    namespace: str = Field("default", description="namespace of requests that name none")
    data_dir: str = Field(".weir", description="folder of the local stack's data, logs and state")
    snapshot_dir: str = Field(
        "",
        description="folder, on a disk of the machine, for snapshots of invoices, alerts, checkpoints and "
        "reservations, of which closes, payments and starts of processes then read only what is new; empty: none. "
        "`weir up` names its own",
    )
    watched_folders: str = Field(
        "",
        description="folders whose disks must have room for the gateway to take events, with commas between; `weir "
        "up` names its own",
    )
    minimum_free_mb: int = Field(
        256,
        ge=0,
        description="megabytes of room on those disks below which the gateway answers 503 until there is more",
    )
    flush_seconds: float = Field(
        1.25,
        ge=0.05,
        le=5,
        description="seconds between two writes of a worker that has little to write: usage is seen so much later, and "
        "ClickHouse has so much less to do; what comes after a pause, or is much, is written at once",
    )
    worker_index: int = Field(0, ge=0, description="tells workers on one machine apart; names a worker's own folder")
    worker_host: str = Field("127.0.0.1", description="address that a worker shows its /readyz and /metrics at")
    worker_web_port: int = Field(6066, ge=1, le=65535, description="port of them; each worker of a machine has its own")
    worker_session_timeout: float = Field(
        10, ge=1, le=300, description="seconds that Kafka waits for a silent worker before others take its partitions"
    )
    checkpoint_seconds: int = Field(60, ge=1, description="seconds between two periodic checkpoint cuts of a worker")
    close_schedule_seconds: int = Field(
        0, ge=0, description="seconds between two scheduled closes of all namespaces in `weir up`; 0: you close by hand"
    )
    scheduler_host: str = Field("127.0.0.1", description="address that the scheduler shows its /readyz at")
    scheduler_port: int = Field(8083, ge=0, le=65535, description="port of it; where it is taken, closes go on without")
    close_schedule_namespaces: str = Field(
        "", description="the namespaces that are closed on schedule, with commas between; empty: all"
    )
    close_differs_factor: Decimal = Field(
        Decimal(2), gt=1, description="a close warns of a line so many times its last period's, or that part of it"
    )
    close_differs_amount: Decimal = Field(
        Decimal(10), ge=0, description="… and at least this amount away from it, in major units of its currency"
    )
    priced_values: int = Field(
        LISTED_VALUES,
        ge=1,
        description="dimension values without a cell in a matrix that an invoice line lists one by one; the rest "
        "share a step, and the close warns",
    )
    webhook_key: SecretStr = Field(
        SecretStr(""),
        description="what webhooks' secrets are derived from; empty: the admin key, which then cannot change alone",
    )
    webhook_reach: Literal["public", "loopback", "any"] = Field(
        "public",
        description="where webhooks may go: public addresses by HTTPS; loopback: any port of this machine but Weir's "
        "own too, also by HTTP; "
        "any: inner networks too",
    )
    webhook_allow: str = Field(
        "",
        description="receivers of this machine or an inner network that webhooks may go to, also by HTTP: "
        "address:port[,address:port…]",
    )
    webhook_own_ports: str = Field(
        "", description="ports of this machine that no webhook may go to; `weir up` names its own processes'"
    )
    webhook_ca: str = Field("", description="path of a CA certificate for HTTPS to receivers; empty: public ones")
    webhook_host: str = Field("127.0.0.1", description="address that the webhooks' process shows its metrics at")
    webhook_port: int = Field(8082, ge=0, le=65535, description="port of its metrics")
    webhook_timeout_seconds: float = Field(15, gt=0, le=120, description="a receiver answers within so many seconds")
    webhook_first_retry_seconds: float = Field(
        5, gt=0, description="seconds from a first refusal to the next try, doubled from try to try"
    )
    webhook_last_retry_seconds: float = Field(3600, gt=0, description="… up to so many")
    webhook_give_up_seconds: int = Field(
        3 * 86_400, ge=1, description="a version refused for so long is given up; `weir webhook replay` sends it again"
    )
    webhook_overlap_seconds: int = Field(
        86_400, ge=0, description="seconds for which the old secret signs beside the new one"
    )
    backfill_automatic: bool = Field(
        True,
        description="whether a worker backfills versions published with a start in the past; else: `weir backfill run`",
    )
    backfill_page_events: int = Field(
        50_000,
        ge=1,
        le=1_000_000,
        description="events that a backfill reads, matches and writes at once; fewer where they are large",
    )
    poison_percent: int = Field(
        50,
        ge=1,
        le=100,
        description="a worker stops when more than this share of a partition's last 1,000 records cannot be read; "
        "100: never",
    )
    poison_minimum: int = Field(50, ge=1, description="… and at least this many of them")

    @field_validator("webhook_allow")
    @classmethod
    def _names_receivers(cls, value: str) -> str:
        receivers_of(value)
        return value

    @field_validator("webhook_own_ports")
    @classmethod
    def _are_ports(cls, value: str) -> str:
        if wrong := [text for text in value.split(",") if text and not (text.isascii() and text.isdigit())]:
            raise ValueError(f"{wrong[0]!r} is no port; write e.g. 8123,9092")
        return value

    def gateway_base(self) -> str:
        """URL of the gateway, without a slash at its end."""
        return self.gateway_url.rstrip("/") or f"http://{askable(self.gateway_host)}:{self.gateway_port}"

    def webhook_receivers(self) -> frozenset[Receiver]:
        """``webhook_allow`` as addresses and ports; ``localhost`` is both 127.0.0.1 and ::1."""
        return receivers_of(self.webhook_allow)


def askable(host: str) -> str:
    """The host part of a URL at which a process answers that binds to this address: the machine itself where it binds
    to all of its addresses."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; ``overrides`` take precedence.

    Raises SettingsError with one line per faulty variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"WEIR_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
        ]
        raise SettingsError("settings are wrong; mend these environment variables:\n  " + "\n  ".join(lines)) from None
