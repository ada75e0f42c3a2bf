"""Where Kafka, ClickHouse and Weir's own services are, and as whom they are asked: the part of the settings that every
process and the command line share (``schemas.settings``)."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LEAST_RECORD_BYTES: Final = 128 * 1024
"""The least ``kafka_record_bytes``: in a smaller record an event alone may not fit."""

MOST_EVENTS_DAYS: Final = 90
"""The most days that usage.events may be kept: identities are kept for W and so many (DESIGN invariant 4), and of an
older record that is read again nobody could say whether it is a copy."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class StoreSettings(BaseSettings):
    """Addresses, users and certificates. Each field is one variable, as in ``schemas.settings``."""

    model_config = SettingsConfigDict(env_prefix="WEIR_", extra="ignore", frozen=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,host:port…]")
    kafka_security_protocol: SecurityProtocol = Field("PLAINTEXT", description="how to speak to Kafka")
    kafka_sasl_mechanism: str = Field("SCRAM-SHA-512", description="SASL mechanism, where the protocol has SASL")
    kafka_sasl_username: str = Field("", description="SASL user")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ssl_ca: str = Field("", description="path of the CA certificate for TLS to Kafka; empty: the system's")
    kafka_ssl_certificate: str = Field(
        "", description="path of this process's own certificate (PEM) for TLS to Kafka; empty: it shows none"
    )
    kafka_ssl_key_file: str = Field("", description="path of the certificate's private key (PEM)")
    kafka_ssl_key_password: SecretStr = Field(SecretStr(""), description="password of that key; empty: it has none")
    kafka_replication: int = Field(1, ge=1, le=9, description="replication factor of topics that Weir creates")
    kafka_record_bytes: int = Field(
        8 * 1024 * 1024,
        ge=LEAST_RECORD_BYTES,
        le=512 * 1024 * 1024,
        description="max.message.bytes of every topic, which producers and packing keep to; one number for all "
        "processes and brokers",
    )

    kafka_events_days: int = Field(
        0,
        ge=0,
        le=MOST_EVENTS_DAYS,
        description="days that usage.events is kept, also where it exists; more are refused, since identities are kept "
        "for no longer. 0: 90 days at its creation, and an existing topic stays as it is",
    )
    kafka_inbox_days: int = Field(
        0,
        ge=0,
        description="days that inboxes are kept, longer than the longest stop of the workers. 0: the cluster's own "
        "time, and an existing topic stays as it is",
    )
    kafka_rejected_days: int = Field(
        0,
        ge=0,
        description="days that usage.rejected is kept. 0: for ever at its creation, and an existing topic stays as it "
        "is",
    )

    clickhouse_host: str = Field("127.0.0.1", description="ClickHouse HTTP host")
    clickhouse_port: int = Field(8123, ge=1, le=65535, description="ClickHouse HTTP port")
    clickhouse_user: str = Field("default", description="ClickHouse user")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="ClickHouse password")
    clickhouse_secure: bool = Field(False, description="HTTPS to ClickHouse")
    clickhouse_ca: str = Field(
        "", description="path of the CA certificate for HTTPS to ClickHouse; empty: the system's"
    )
    clickhouse_certificate: str = Field(
        "", description="path of this process's own certificate (PEM) for HTTPS to ClickHouse; empty: it shows none"
    )
    clickhouse_key_file: str = Field("", description="path of the certificate's private key (PEM)")
    clickhouse_database: str = Field("weir", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="database of all tables")
    clickhouse_cluster: str = Field(
        "", description="cluster name for ON CLUSTER and Replicated engines; empty: one server"
    )

    http_ca: str = Field(
        "",
        description="path of the CA certificate for HTTPS to Weir's own services, of the command line too; empty: "
        "the system's",
    )
    http_certificate: str = Field(
        "", description="path of the certificate (PEM) that is shown to them; empty: none. Its key may be in it"
    )
    http_key_file: str = Field("", description="path of the certificate's private key (PEM)")

    @field_validator("kafka_bootstrap")
    @classmethod
    def _has_ports(cls, value: str) -> str:
        for address in value.split(","):
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"{address!r} is not host:port; write e.g. kafka-1:9092,kafka-2:9092")
        return value

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        for prefix in ("kafka_ssl", "clickhouse"):
            names = f"{prefix}_certificate", f"{prefix}_key_file"
            if bool(getattr(self, names[0])) != bool(getattr(self, names[1])):
                first, second = (f"WEIR_{name.upper()}" for name in names)
                raise ValueError(f"{first} and {second} belong together: set both, or none")
        return self

    def librdkafka(self) -> dict[str, Any]:
        """Connection part of a confluent-kafka configuration."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.kafka_bootstrap,
            "security.protocol": self.kafka_security_protocol,
        }
        if self.kafka_ssl_ca:
            config["ssl.ca.location"] = self.kafka_ssl_ca
        if self.kafka_ssl_certificate:
            config["ssl.certificate.location"] = self.kafka_ssl_certificate
            config["ssl.key.location"] = self.kafka_ssl_key_file
            if password := self.kafka_ssl_key_password.get_secret_value():
                config["ssl.key.password"] = password
        if self.kafka_security_protocol.startswith("SASL"):
            config["sasl.mechanism"] = self.kafka_sasl_mechanism
            config["sasl.username"] = self.kafka_sasl_username
            config["sasl.password"] = self.kafka_sasl_password.get_secret_value()
        return config
