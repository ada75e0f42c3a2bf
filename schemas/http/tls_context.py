"""TLS of a client of Weir's own services: whom it believes, and the certificate that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import WeirError

if TYPE_CHECKING:
    import ssl

    from schemas.store_settings import StoreSettings


class CertificateFileError(WeirError):
    """A file of certificates or keys cannot be read; the message names the setting and the file."""


@dataclass(frozen=True, slots=True)
class ServiceTls:
    """Paths of PEM files; "" where there is none. ``ca``: empty means the usual certificates; ``key_file``: empty where
    the key is in ``certificate``."""

    ca: str = ""
    certificate: str = ""
    key_file: str = ""


def service_tls(settings: StoreSettings) -> ServiceTls:
    """What the settings say of it."""
    return ServiceTls(settings.http_ca, settings.http_certificate, settings.http_key_file)


def client_context(url: str, tls: ServiceTls) -> ssl.SSLContext | bool:
    """What httpx's ``verify`` takes for this URL. Raises CertificateFileError."""
    import ssl

    if url.startswith("http://"):
        # Reading all certificates takes a third of a command's time. Without them no HTTPS would be believed.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.ca and not tls.certificate:
        return True
    import httpx

    try:
        context = ssl.create_default_context(cafile=tls.ca) if tls.ca else httpx.create_ssl_context()
    except OSError as error:
        raise CertificateFileError(f"WEIR_HTTP_CA: {tls.ca} cannot be read as a certificate (PEM): {error}") from None
    if tls.certificate:
        try:
            context.load_cert_chain(tls.certificate, tls.key_file or None)
        except OSError as error:
            names = "WEIR_HTTP_CERTIFICATE and WEIR_HTTP_KEY_FILE"
            raise CertificateFileError(
                f"{names}: {tls.certificate} with {tls.key_file or 'the key in it'} cannot be read: {error}"
            ) from None
    return context
