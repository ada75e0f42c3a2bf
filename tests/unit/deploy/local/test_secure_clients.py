"""TLS and SASL settings reach every client of Kafka and ClickHouse that any package of ours makes."""

from __future__ import annotations

import ast
import ssl
import subprocess
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.types.auth import AuthProtocol
from pydantic import SecretStr

from deploy.cli.connection import services
from schemas.clickhouse.client import connect
from schemas.http.tls_context import CertificateFileError, ServiceTls, client_context, service_tls
from schemas.settings import Settings, SettingsError, load_settings
from stream_processors.app import _credentials
from tests.trees import all_nodes

KAFKA = {"Consumer", "Producer", "AdminClient"}
# The local stack's probe asks the broker that the stack itself starts, which speaks plain text on loopback.
LOCAL = {"deploy/local/kafka.py"}


def calls(names: Set[str]) -> Iterator[tuple[str, str, str]]:
    """(file, name, source of the arguments) of each call of what has one of these names."""
    for path, node in all_nodes():
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in names:
                arguments = (*node.args, *(keyword.value for keyword in node.keywords))
                yield path, name, " ".join(ast.unparse(item) for item in arguments)


def test_every_kafka_client_takes_the_settings_connection() -> None:
    pairs = list(calls(KAFKA))
    assert {name for _, name, _ in pairs} == KAFKA
    bare = [(file, name) for file, name, text in pairs if "settings.librdkafka()" not in text and file not in LOCAL]
    assert bare == []


def test_there_is_one_place_that_connects_to_clickhouse_and_one_that_makes_faust_apps() -> None:
    assert {file for file, _, _ in calls({"get_client", "get_async_client"})} == {"schemas/clickhouse/client.py"}
    (app,) = [(file, text) for file, _, text in calls({"BoundedApp"})]
    assert app[0] == "stream_processors/app.py"
    assert "_credentials(settings)" in app[1]
    assert list(calls({"AIOKafkaConsumer", "AIOKafkaProducer"})) == []


def test_the_settings_say_it_to_librdkafka() -> None:
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_username="u",
        kafka_sasl_password=SecretStr("p"),
        kafka_ssl_ca="ca.pem",
    )
    assert settings.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092", "security.protocol": "SASL_SSL", "ssl.ca.location": "ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p",
    }  # fmt: skip


def test_a_certificate_of_its_own_is_shown_with_its_key_or_not_at_all(tmp_path: Path) -> None:
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=weir")
    subprocess.run(
        [*made, "-days", "2", "-passout", "pass:hush", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    names: dict[str, Any] = {"kafka_ssl_certificate": str(certificate), "kafka_ssl_key_file": str(key)}
    settings = Settings(kafka_security_protocol="SSL", kafka_ssl_key_password=SecretStr("hush"), **names)
    config = settings.librdkafka()
    assert (config["ssl.certificate.location"], config["ssl.key.location"]) == (str(certificate), str(key))
    AdminClient(config | {"log_level": 0})  # reads both, and refuses a password that does not open the key
    assert _credentials(settings) is not None
    wrong = settings.model_copy(update={"kafka_ssl_key_password": SecretStr("other")})
    with pytest.raises(KafkaException, match=r"ssl\.key\.location"):
        AdminClient(wrong.librdkafka() | {"log_level": 0})
    with pytest.raises(ssl.SSLError):
        _credentials(wrong)
    with pytest.raises(SettingsError, match="belong together"):
        load_settings(kafka_ssl_certificate=str(certificate))


def test_the_settings_say_it_to_faust() -> None:
    assert _credentials(Settings()) is None
    given: dict[str, Any] = {"kafka_sasl_username": "u", "kafka_sasl_password": SecretStr("p")}
    secure = _credentials(Settings(kafka_security_protocol="SASL_SSL", **given))
    assert (secure.protocol, secure.username, secure.password) == (AuthProtocol.SASL_SSL, "u", "p")
    assert str(getattr(secure.mechanism, "value", secure.mechanism)) == "SCRAM-SHA-512"
    assert secure.ssl_context.verify_mode is ssl.CERT_REQUIRED
    assert secure.ssl_context.check_hostname
    plain = _credentials(Settings(kafka_security_protocol="SASL_PLAINTEXT", **given))
    assert (plain.protocol, plain.ssl_context) == (AuthProtocol.SASL_PLAINTEXT, None)
    assert _credentials(Settings(kafka_security_protocol="SSL")).context.verify_mode is ssl.CERT_REQUIRED


def test_the_settings_say_it_to_clickhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    observed: dict[str, Any] = {}
    monkeypatch.setattr(clickhouse_connect, "get_client", lambda **given: observed.update(given))
    connect(
        Settings(
            clickhouse_secure=True, clickhouse_ca="ca.pem", clickhouse_user="u", clickhouse_password=SecretStr("p")
        )
    )
    assert (observed["secure"], observed["ca_cert"], observed["username"], observed["password"]) == (
        True,
        "ca.pem",
        "u",
        "p",
    )
    own: dict[str, Any] = {"clickhouse_certificate": "own.pem", "clickhouse_key_file": "own.key"}
    connect(Settings(clickhouse_secure=True, **own))
    assert (observed["client_cert"], observed["client_cert_key"]) == ("own.pem", "own.key")
    connect(Settings())
    names = ("secure", "ca_cert", "client_cert", "client_cert_key")
    assert [observed[name] for name in names] == [False, None, None, None]


def test_the_settings_say_it_to_clients_of_the_services(tmp_path: Path) -> None:
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=weir")
    subprocess.run(
        [*made, "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    environment = {
        "WEIR_RATING_URL": "https://rating.example",
        "WEIR_KEY": "k",
        "WEIR_HTTP_CA": str(certificate),
        "WEIR_HTTP_CERTIFICATE": str(certificate),
        "WEIR_HTTP_KEY_FILE": str(key),
    }
    tls = services(folder=tmp_path, environ=environment).tls
    assert tls == service_tls(
        Settings(http_ca=str(certificate), http_certificate=str(certificate), http_key_file=str(key))
    )
    context = client_context("https://rating.example", tls)
    assert isinstance(context, ssl.SSLContext)
    assert [issuer["subject"] for issuer in context.get_ca_certs()] == [((("commonName", "weir"),),)]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client_context("https://rating.example", ServiceTls()) is True
    with pytest.raises(CertificateFileError, match="WEIR_HTTP_CA"):
        client_context("https://rating.example", ServiceTls(str(tmp_path / "none.pem")))
    with pytest.raises(CertificateFileError, match="WEIR_HTTP_KEY_FILE"):
        client_context("https://rating.example", ServiceTls("", str(certificate)))
