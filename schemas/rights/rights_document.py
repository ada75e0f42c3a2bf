"""The document of ``weir init --rights``: which users there are, and which of Weir's roles each has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from schemas.catalog.base import Code, doubled
from schemas.errors import WeirError
from schemas.rights.clickhouse_roles import ClickHouseRole
from schemas.rights.kafka_roles import KafkaRole

ClickHouseName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$")]
MAX_BYTES_OF_FILE: Final = 1_000_000


class RightsError(WeirError):
    """The document, or a file that it names, cannot be used; the message names the place and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClickHouseUser(_Part):
    """``namespaces``: those that an analyst sees; None: all. ``password_file``: read where the user is missing and has
    to be made, never otherwise; "": the operator makes the user."""

    name: ClickHouseName
    role: ClickHouseRole
    namespaces: tuple[Code, ...] | None = Field(default=None, min_length=1, max_length=1000)
    password_file: str = ""

    @model_validator(mode="after")
    def _only_analysts_are_bound(self) -> Self:
        if self.namespaces is not None and self.role != "analyst":
            raise ValueError(f"namespaces is for analysts; a {self.role} works for all of them")
        return self


class AnalystLimits(_Part):
    """What one query, and one analyst in an hour, may take."""

    memory_bytes: int = Field(default=4_000_000_000, ge=100_000_000)
    seconds: int = Field(default=60, ge=1, le=86_400)
    queries_per_hour: int = Field(default=1000, ge=1)
    seconds_per_hour: int = Field(default=1800, ge=1, le=1_000_000)


class ClickHouseUsers(_Part):
    users: tuple[ClickHouseUser, ...] = Field(default=(), max_length=10_000)
    analyst_limits: AnalystLimits = AnalystLimits()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if name := doubled([user.name for user in self.users]):
            raise ValueError(f"user {name} stands twice")
        return self


class KafkaPrincipal(_Part):
    """``name``: as the brokers' authorizer has it, ``User:weir-worker``. Whoever makes it (SCRAM, a certificate) is the
    operator. ``namespaces``: of a producer, whose inboxes it writes to."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+:[^\x00-\x1f]{1,255}$")]
    role: KafkaRole
    namespaces: tuple[Code, ...] | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _producers_have_namespaces(self) -> Self:
        if (self.namespaces is not None) != (self.role == "producer"):
            raise ValueError("namespaces is for producers, who need it")
        return self


class KafkaPrincipals(_Part):
    principals: tuple[KafkaPrincipal, ...] = Field(default=(), max_length=10_000)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if name := doubled([principal.name for principal in self.principals]):
            raise ValueError(f"principal {name} stands twice")
        return self


class RightsDocument(_Part):
    clickhouse: ClickHouseUsers | None = None
    kafka: KafkaPrincipals | None = None


def read_rights(path: Path) -> RightsDocument:
    """Raises RightsError."""
    try:
        text = path.read_bytes()
        if len(text) > MAX_BYTES_OF_FILE:
            raise RightsError(f"{path} is larger than {MAX_BYTES_OF_FILE} bytes")
        return RightsDocument.model_validate(yaml.safe_load(text) or {})
    except OSError as error:
        raise RightsError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise RightsError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise RightsError(f"{path}, {place}: {first['msg']}") from error


def read_password(user: ClickHouseUser) -> str:
    """The password in the user's file, without its last line's end. Raises RightsError."""
    path = Path(user.password_file)
    try:
        password = path.read_text().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise RightsError(f"password_file of {user.name}, {path}, cannot be read: {error}") from error
    if len(password) < 12:
        raise RightsError(f"password_file of {user.name}, {path}: a password has 12 characters or more")
    return password
