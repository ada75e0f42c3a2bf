"""Entry point of ``weir``. Every command imports what it needs when it runs, so that help and ``price`` start fast."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from deploy.cli.billing import alerts, anomalies, balance, close, credits, entitlements, explain, late, price
from deploy.cli.billing.invoice import app as invoice_app
from deploy.cli.billing.invoices import app as invoices_app
from deploy.cli.billing.simulate import profile_app, simulate
from deploy.cli.billing.topup import app as topup_app
from deploy.cli.billing.webhook import app as webhook_app
from deploy.cli.catalog import apply, audit, backfill, key, users
from deploy.cli.connection import ADMIN_KEY, CATALOG_KEY, INGEST_KEY, READ_KEY, STORES
from deploy.cli.errors import Failure
from deploy.cli.errors import explain as explain_failure
from deploy.cli.events import rejected, send, usage, void
from deploy.cli.operation import (
    backup,
    capacity,
    copies,
    generation,
    init,
    log,
    replay,
    sandbox,
    up_down_status,
    verify,
)


def _print_version(chosen: bool) -> None:
    if chosen:
        from importlib.metadata import version

        print(f"weir {version('weir')}")  # noqa: T201 (a command's output)
        raise typer.Exit


app: Final = typer.Typer(
    name="weir",
    help="Usage metering and usage billing that finance can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 findings or failure, 2 wrong usage or input. Connections: WEIR_* variables first, "
    "then the running local stack (of WEIR_DATA_DIR, .weir by default). Most commands go by HTTP and need"
    " WEIR_RATING_URL, WEIR_GATEWAY_URL and WEIR_KEY alone; those that need Kafka and ClickHouse say so in their help.",
)


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version, and nothing else.", callback=_print_version, is_eager=True),
    ] = False,
) -> None: ...


_LOCAL: Final = "Of the local stack on this machine (WEIR_DATA_DIR, .weir by default)."
_NOTHING: Final = "Needs no stack and no key."
app.command(epilog=_LOCAL)(up_down_status.up)
app.command(epilog=_LOCAL)(up_down_status.down)
app.command(epilog=_LOCAL + " Variables that name another installation come first.")(up_down_status.status)
app.command(epilog=_LOCAL)(backup.backup)
app.command(epilog=_LOCAL)(backup.restore)
app.command(epilog=STORES)(init.init)
app.command(epilog=_NOTHING)(capacity.capacity)
app.command(epilog=CATALOG_KEY)(apply.apply)
app.command(epilog=CATALOG_KEY)(audit.audit)
app.add_typer(key.app, name="key")
app.add_typer(users.app, name="users")
app.add_typer(sandbox.app, name="sandbox")
app.command(epilog=INGEST_KEY)(send.send)
app.command(epilog=ADMIN_KEY)(void.void)
app.command(epilog=ADMIN_KEY)(void.correct)
app.command(epilog=READ_KEY)(void.voids)
app.command(epilog=READ_KEY)(usage.usage)
app.command(epilog=STORES)(close.close)
app.add_typer(invoices_app, name="invoices")
app.add_typer(invoice_app, name="invoice")
app.add_typer(webhook_app, name="webhook")
app.command(epilog=READ_KEY)(late.late)
app.command(epilog=READ_KEY)(credits.credits)
app.command(epilog=READ_KEY)(alerts.alerts)
app.command(epilog=READ_KEY)(anomalies.anomalies)
app.command(epilog=READ_KEY)(balance.balance)
app.add_typer(topup_app, name="topup")
app.command(epilog=READ_KEY)(entitlements.entitlements)
app.command(epilog=READ_KEY)(explain.explain)
app.command(epilog=READ_KEY)(simulate)
app.add_typer(profile_app, name="profile")
app.add_typer(backfill.app, name="backfill")
app.command(epilog=_NOTHING)(price.price)
app.add_typer(rejected.app, name="rejected")
app.add_typer(generation.app, name="generation")
app.add_typer(log.app, name="log")
app.command(epilog=STORES)(replay.replay)
app.add_typer(copies.app, name="copies")
app.command(epilog=STORES)(verify.verify)
app.command(epilog=READ_KEY)(verify.doctor)
app.command(epilog=READ_KEY)(verify.ledger)


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except Failure as failure:
        print(f"weir: {failure}", file=sys.stderr)  # noqa: T201 (a command's output)
        sys.exit(failure.code)
    except Exception as error:
        text = explain_failure(error)
        if text is None:
            raise
        print(f"weir: {text}", file=sys.stderr)  # noqa: T201 (a command's output)
        sys.exit(1)


if __name__ == "__main__":
    main()
