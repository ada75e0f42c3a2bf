"""The command line without a stack: price, help, errors that name the remedy, and where settings come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.billing.close import parse_as_of
from deploy.cli.billing.invoice_tables import invoice_parts
from deploy.cli.connection import connection
from deploy.cli.errors import Failure, explain, problem_text
from deploy.cli.main import app, main
from deploy.cli.output import table
from schemas.ledgers.errors import LedgerUnavailable
from tests.weir_command import run_weir

PER_UNIT = {"price": {"model": "per_unit", "unit_amount": "0.105"}, "quantity": "3"}


def test_price_prints_a_list_for_one_and_for_many() -> None:
    """By the program itself, and by the function that it runs."""
    program = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "price"], input=json.dumps(PER_UNIT), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    for done in (program, run_weir("price", stdin=json.dumps([PER_UNIT]), variables={})):
        assert done.returncode == 0, done.stderr
        [result] = json.loads(done.stdout)
        assert (result["amount"], result["unrounded"]) == ("0.32", "0.315")
        assert result["steps"][0]["quantity"] == "3"


@pytest.mark.parametrize(
    ("stdin", "place"),
    [
        ('{"price": {"model": "per_unit"}, "quantity": "1"}', "price.unit_amount"),
        (
            '[{"price": {"model": "flat", "amount": "1"}}, {"price": {"model": "magic"}, "quantity": "1"}]',
            "[1].price.model",
        ),
        ("nonsense", "JSON"),
        ("", "JSON"),
    ],
)
def test_a_bad_price_is_a_clear_error_and_exit_code_2(stdin: str, place: str) -> None:
    done = run_weir("price", stdin=stdin, variables={})
    assert (done.returncode, done.stdout) == (2, "")
    assert place in done.stderr
    assert "Traceback" not in done.stderr


def test_no_stack_running_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    for arguments in (("status",), ("ledger",), ("invoices", "--json"), ("usage", "miles")):
        done = run_weir(*arguments, variables={"WEIR_DATA_DIR": str(tmp_path)})
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "weir up" in done.stderr


def test_wrong_usage_exits_with_2() -> None:
    assert run_weir("nonsense", variables={}).returncode == 2
    assert run_weir("close", "--as-of", "yesterday", variables={"WEIR_GATEWAY_PORT": "1"}).returncode == 2


def test_every_command_has_help() -> None:
    runner = CliRunner()
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
        assert runner.invoke(app, [command.callback.__name__, "--help"]).exit_code == 0


def test_the_environment_wins_and_wrong_variables_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "7001")
    monkeypatch.setenv("WEIR_NAMESPACE", "from-env")
    assert connection(folder=tmp_path).gateway_port == 7001
    assert connection(folder=tmp_path).namespace == "from-env"
    assert connection("given", folder=tmp_path).namespace == "given"
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "many")
    monkeypatch.setattr(sys, "argv", ["weir", "ledger"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


def test_only_expected_errors_become_one_line() -> None:
    assert explain(LedgerUnavailable("usage.catalog: gone; try again")) == "usage.catalog: gone; try again"
    assert explain(ZeroDivisionError("a bug")) is None


def test_problems_are_shown_with_their_places() -> None:
    body: dict[str, Any] = {"title": "Unprocessable", "detail": "missing", "path": "$.events[3].account_id", "index": 3}
    assert problem_text(body) == "$.events[3].account_id: missing"
    faults = [{"path": "$.meters[0].code", "detail": "is missing"}, {"path": "$.plans[1]", "detail": "is no object"}]
    document = {"title": "Unprocessable", "detail": "$.meters[0].code: is missing (and 1 more)", "errors": faults}
    assert problem_text(document) == "Unprocessable\n  $.meters[0].code: is missing\n  $.plans[1]: is no object"


def test_as_of() -> None:
    assert parse_as_of("2014-01-01").isoformat() == "2014-01-01T00:00:00+00:00"
    assert parse_as_of("2014-01-01T06:00:00-05:00").isoformat() == "2014-01-01T11:00:00+00:00"
    with pytest.raises(Failure, match="offset") as failed:
        parse_as_of("2014-01-01T06:00:00")
    assert failed.value.code == 2


def test_what_customers_write_is_never_markup() -> None:
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=100).print(table("[b]t[/b]", ("c",), [("[red]x[/nope]",)]))
    assert "[red]x[/nope]" in out.getvalue()


def test_an_invoice_shows_its_steps_below_their_line() -> None:
    from io import StringIO

    from rich.console import Console

    line = {
        "number": 1,
        "kind": "usage",
        "plan": "q",
        "plan_version": 4,
        "description": "Calls",
        "quantity": "3",
        "unit": "call",
        "price": {"model": "per_unit"},
        "amount": "0.32",
        "note": "in trial: 0.315 is not billed; late",
        "period_start": "2013-03-01T05:00:00Z",
        "period_end": "2013-03-15T04:00:00Z",
        "steps": [
            {"text": "3 × 0.105 = 0.315", "amount": "0.315"},
            {"text": "in trial: 0.315 is not billed", "amount": "-0.315"},
        ],
    }
    item = {
        "invoice_id": "inv_1", "version": 1, "state": "finalized", "account_id": "a", "subscription": "s", "plan": "p",
        "plan_version": 1, "period_start": "2013-03-01T05:00:00Z", "period_end": "2013-04-01T04:00:00Z",
        "service_start": "2013-03-01T05:00:00Z", "service_end": "2013-04-01T04:00:00Z",
        "time_zone": "America/New_York", "checkpoint": 2, "as_of": "2014-01-01T06:00:00Z", "currency": "USD",
        "total": "0.32", "lines": [line],
    }  # fmt: skip
    out = StringIO()
    console = Console(file=out, width=160)
    for part in invoice_parts(item):
        console.print(part)
    text = out.getvalue()
    assert "2013-03-01 to 2013-04-01 (exclusive)" in text
    assert "plan q version 4" in text  # that its lines were priced by
    assert text.index("Calls") < text.index("3 × 0.105 = 0.315") < text.index("Total")
    assert "2013-03-01 to 2013-03-15 (exclusive)" in text  # a part of the invoice's period
    assert text.count("is not billed") == 1
    assert "late" in text


def test_a_state_that_does_not_exist_is_refused() -> None:
    for command in (["invoices", "--state", "drft"], ["invoices", "export", "--state", "drft"]):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, "draft" in result.output) == (2, True)
