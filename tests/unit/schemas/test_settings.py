"""Settings: errors name the variable, secrets are never printed."""

from __future__ import annotations

import pytest

from schemas.settings import Settings, SettingsError, load_settings

SECRETS = {
    "kafka_sasl_password": "kafka-hush",
    "kafka_ssl_key_password": "key-hush",
    "clickhouse_password": "click-hush",
    "admin_key": "admin-hush",
    "webhook_key": "hook-hush",
    "oidc_client_secret": "provider-hush",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WEIR_{name.upper()}", raising=False)


def test_secrets_are_not_printed_anywhere() -> None:
    settings = load_settings(**SECRETS, kafka_security_protocol="SASL_SSL")
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), f"{settings!r:}"]
    assert not [text for text in shown for secret in SECRETS.values() if secret in text]
    assert settings.librdkafka()["sasl.password"] == "kafka-hush"
    assert settings.admin_key.get_secret_value() == "admin-hush"


def test_every_secret_field_is_covered_here() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    suspicious = {name for name in Settings.model_fields if name.endswith(("password", "_key", "secret", "token"))}
    assert secrets == suspicious == set(SECRETS)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WEIR_CLICKHOUSE_PORT", "0"), ("WEIR_CLICKHOUSE_PORT", "many"), ("WEIR_KAFKA_BOOTSTRAP", "localhost"),
        ("WEIR_KAFKA_BOOTSTRAP", "a:1,b"), ("WEIR_KAFKA_REPLICATION", "0"), ("WEIR_GENERATION", "0"),
        ("WEIR_PARTITIONS", "4097"), ("WEIR_KAFKA_SECURITY_PROTOCOL", "TLS"), ("WEIR_CLICKHOUSE_DATABASE", "we;ir"),
        ("WEIR_CLICKHOUSE_SECURE", "perhaps"), ("WEIR_CHECKPOINT_SECONDS", "0"), ("WEIR_GATEWAY_PORT", "65536"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"{variable}: ."):
        load_settings()


def test_all_wrong_variables_are_named_at_once_and_no_secret_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_PARTITIONS", "none")
    monkeypatch.setenv("WEIR_RATING_PORT", "-1")
    monkeypatch.setenv("WEIR_ADMIN_KEY", "admin-hush")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert {"WEIR_PARTITIONS", "WEIR_RATING_PORT"} <= set(str(caught.value).replace(":", " ").split())
    assert "admin-hush" not in str(caught.value)


def test_variables_are_read_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_PARTITIONS", "8")
    monkeypatch.setenv("WEIR_NAMESPACE", "live")
    settings = load_settings(namespace="sandbox")
    assert (settings.partitions, settings.namespace) == (8, "sandbox")


def test_every_field_is_documented() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_plaintext_sends_no_credentials() -> None:
    config = load_settings(kafka_sasl_username="u", **SECRETS).librdkafka()
    assert config == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"}
    assert load_settings(kafka_ssl_ca="/ca.pem").librdkafka()["ssl.ca.location"] == "/ca.pem"
