"""``python -m rating.webhooks``: delivers versions of invoices to the namespaces' webhooks; metrics at
WEIR_WEBHOOK_HOST:WEIR_WEBHOOK_PORT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator

from rating.health_server import serve
from rating.webhooks.delivery_service import DeliveryService
from schemas.errors import EXIT_HELD, CannotGoOn
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings, SettingsError, load_settings


async def deliver(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT. Raises LedgerUnavailable where Kafka does not answer at the start."""
    service = DeliveryService(settings)
    server = serve(settings.webhook_host, settings.webhook_port, service.metrics.registry, service.reasons)
    running = asyncio.create_task(service.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    except BaseExceptionGroup as group:
        raise next(_hopeless(group), group) from None
    finally:
        server.shutdown()


def _hopeless(group: BaseExceptionGroup[BaseException]) -> Iterator[CannotGoOn]:
    for error in group.exceptions:
        if isinstance(error, CannotGoOn):
            yield error
        elif isinstance(error, BaseExceptionGroup):
            yield from _hopeless(error)


def main() -> int:
    """Exit code 1: it could not go on; 2: the settings are wrong; 65: it cannot until somebody has changed
    something."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log whole URLs, which may hold receivers' secrets
    try:
        settings = load_settings()
        if not settings.admin_key.get_secret_value() and not settings.webhook_key.get_secret_value():
            raise SettingsError(
                "WEIR_ADMIN_KEY and WEIR_WEBHOOK_KEY are empty; webhooks are signed by what is derived from one"
            )
        asyncio.run(deliver(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    except CannotGoOn as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_HELD
    except LedgerUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
