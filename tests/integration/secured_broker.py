"""A broker of its own whose only door is SASL_SSL, and what a client needs to get in."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from deploy.local import kafka
from deploy.local.stack import Stack
from schemas.settings import Settings
from tests.integration.ingest.gateway_process import free_port

USER, PASSWORD, STORE = "weir", secrets.token_hex(16), "keystore-password"
_JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class SecuredBroker:
    """One node whose only door is SASL_SSL; it can be frozen, killed and started again."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.port, controller = free_port(), free_port()
        # The jars that this run's own stack was started from, wherever they are.
        self._libs = kafka.kafka_libs(stack._cache_dir)
        kafka.prepare_broker(self._libs, folder, self.port, controller)
        self.ca = folder / "ca.pem"
        store = folder / "broker.p12"
        keytool = str(Path(kafka.java()).resolve().with_name("keytool"))
        own = ("-alias", "broker", "-keystore", str(store), "-storepass", STORE)
        made = ("-genkeypair", "-keyalg", "EC", "-dname", "CN=127.0.0.1", "-validity", "2", "-storetype", "PKCS12")
        named = ("-ext", "san=ip:127.0.0.1", "-ext", "bc=ca:true")
        for command in ((*made, *named, *own), ("-exportcert", "-rfc", "-file", str(self.ca), *own)):
            subprocess.run([keytool, *command], check=True, capture_output=True, timeout=60)
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", str(self.key), "-out", str(self.certificate))
        subprocess.run([*made, "-days", "2", "-subj", "/CN=weir", *files], check=True, capture_output=True, timeout=60)
        trusted = folder / "trusted.pem"
        trusted.write_text(self.ca.read_text() + self.certificate.read_text())
        properties = folder / "server.properties"
        secured = properties.read_text().replace("PLAINTEXT:PLAINTEXT,CONTROLLER", "SASL_SSL:SASL_SSL,CONTROLLER")
        secured = secured.replace("PLAINTEXT://", "SASL_SSL://").replace(
            "listener.name=PLAINTEXT", "listener.name=SASL_SSL"
        )
        users = f'username="{USER}" password="{PASSWORD}" user_{USER}="{PASSWORD}"'
        properties.write_text(
            f"{secured}\nssl.keystore.type=PKCS12\nssl.keystore.location={store}\nssl.keystore.password={STORE}\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={trusted}\n"
            "listener.name.sasl_ssl.ssl.client.auth=required\n"
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\nsasl.mechanism.inter.broker.protocol=PLAIN\n"
            f"listener.name.sasl_ssl.plain.sasl.jaas.config={_JAAS} {users};\n"
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            # The controller's own door is plain.
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
            f"super.users=User:{USER};User:ANONYMOUS\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def connection(self) -> dict[str, Any]:
        """Fields of Settings."""
        return {
            "kafka_bootstrap": f"127.0.0.1:{self.port}",
            "kafka_security_protocol": "SASL_SSL",
            "kafka_ssl_ca": str(self.ca),
            "kafka_ssl_certificate": str(self.certificate),
            "kafka_ssl_key_file": str(self.key),
            "kafka_sasl_username": USER,
            "kafka_sasl_password": SecretStr(PASSWORD),
        }

    def start(self) -> None:
        """Start; returns when the user is there, who is made by the other mechanism."""
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(kafka.broker_command(self._libs, self.folder), stdout=log, stderr=log)
        admin = AdminClient(Settings(**self.connection, kafka_sasl_mechanism="PLAIN").librdkafka() | {"log_level": 0})
        deadline = time.monotonic() + 60
        while True:
            try:
                credential = UserScramCredentialUpsertion(
                    USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
                )
                admin.alter_user_scram_credentials([credential], request_timeout=2)[USER].result(5)
                return
            except KafkaException:
                assert self.process.poll() is None, (self.folder / "broker.log").read_text()[-2000:]
                assert time.monotonic() < deadline

    def add_user(self, name: str) -> dict[str, Any]:
        """Another user with the same password, who may nothing yet. Gives its fields of Settings."""
        admin = AdminClient(Settings(**self.connection, kafka_sasl_mechanism="PLAIN").librdkafka() | {"log_level": 0})
        information = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        credential = UserScramCredentialUpsertion(name, information, PASSWORD.encode())
        admin.alter_user_scram_credentials([credential], request_timeout=20)[name].result(30)
        return self.connection | {"kafka_sasl_username": name}

    def signal(self, number: signal.Signals) -> None:
        """To the broker; SIGKILL is waited for."""
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait(10)
