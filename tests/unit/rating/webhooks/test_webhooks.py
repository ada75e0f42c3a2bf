"""What is told of an invoice, who signs, where a message may go, and when a webhook begins."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from rating.webhooks.hook import fold_hook
from rating.webhooks.intake import Notices
from rating.webhooks.message import body
from rating.webhooks.notices import event_of
from rating.webhooks.receiver import signing
from rating.webhooks.receiver.attempt import ReceiverAnswer, Sender, retry_after
from schemas.catalog.state import Entry
from schemas.catalog.webhook_setting import Webhook
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings
from tests.unit.rating.builders import invoice_of

SECOND = 1_000_000
URL = "https://example.com/hook"


def version(number: int, state: str = "finalized", **extra: Any) -> Invoice:
    return invoice_of(namespace="n", invoice_id="inv_1", version=number, state=state, **extra)


def test_a_copy_or_a_claim_that_lost_tells_nothing_and_ids_are_of_the_version() -> None:
    notices = Notices()
    applies = [
        notices.apply(record, 7) for record in (version(1), version(1), version(3), version(2, "paid"), version(2))
    ]
    assert [(item.type, item.message_id) if item else None for item in applies] == [
        ("invoice.finalized", "inv_1_v1"), None, None, ("invoice.paid", "inv_1_v2"), None,
    ]  # fmt: skip
    assert notices.apply_bytes(b"foreign", 7) is None


def test_a_draft_has_versions_and_messages_of_its_own() -> None:
    notices = Notices()
    draft = '{"draft": {}}'
    records = [version(1, "draft", body=draft), version(2, "withdrawn", body=draft), version(1), version(2, "paid")]
    applies = [notices.apply(record, 7) for record in records]
    assert [(item.type, item.message_id) for item in applies if item] == [
        ("invoice.drafted", "inv_1_draft_v1"), ("invoice.drafted", "inv_1_draft_v2"),
        ("invoice.finalized", "inv_1_v1"), ("invoice.paid", "inv_1_v2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "state", "event"),
    [
        (None, "draft", "invoice.drafted"), ("draft", "draft", "invoice.drafted"),
        (None, "finalized", "invoice.finalized"),
        ("draft", "finalized", "invoice.finalized"), ("finalized", "finalized", "invoice.updated"),
        ("finalized", "paid", "invoice.paid"),
        ("paid", "paid", "invoice.updated"), ("paid", "finalized", "invoice.updated"),
        ("paid", "void", "invoice.voided"),
        ("draft", "something new", "invoice.updated"),
    ],
)  # fmt: skip
def test_what_became_of_an_invoice(before: str | None, state: str, event: str) -> None:
    assert event_of(before, state) == event


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    """The test vector of the Standard Webhooks libraries."""
    raw = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    sent = signing.headers([raw], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert sent == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_pages_lines_verify_what_is_sent_and_nothing_else() -> None:
    text = (Path(__file__).parents[4] / "rating" / "WEBHOOKS.md").read_text()
    (lines,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    recorded: dict[str, Any] = {}
    exec(lines, recorded)
    verified, now = recorded["verified"], int(time.time())
    old, new = (signing.secret(b"root", "n", number) for number in (1, 2))
    message = body("invoice.paid", now * SECOND, {"total": "1.50"})
    sent = signing.headers([new, old], "inv_1_v2", now, message)
    for item in (old, new):
        assert verified(signing.secret_text(item), sent, message)
    assert not verified(signing.secret_text(signing.secret(b"root", "n", 3)), sent, message)
    assert not verified(signing.secret_text(new), sent, message + b" ")
    assert not verified(signing.secret_text(new), sent | {"webhook-id": "inv_1_v1"}, message)
    assert not verified(signing.secret_text(new), signing.headers([new], "inv_1_v2", now - 301, message), message)


def test_what_may_not_be_sent_to_is_not_even_connected_to() -> None:
    async def ask(url: str) -> ReceiverAnswer:
        sender = Sender(Settings())
        try:
            return await sender.send(url, {}, b"{}", 0.0)
        finally:
            await sender.close()

    for url in (
        "https://127.0.0.1/",
        "https://[::1]:8443/x",
        "https://10.1.2.3/",
        "http://169.254.169.254/latest",
        "https://localhost/",
    ):
        answer = asyncio.run(ask(url))
        assert (answer.status, answer.ok) == (0, False)
        assert "WEIR_WEBHOOK_ALLOW=" in answer.error or "no receiver has" in answer.error


def test_secrets_differ_by_namespace_rotation_and_key_and_settings_never_show_them() -> None:
    settings = Settings(admin_key=SecretStr("root"))
    root = signing.root_key(settings)
    second_root_key = signing.root_key(Settings(admin_key=SecretStr("root"), webhook_key=SecretStr("own")))
    secrets = {
        signing.secret(key, name, number) for key in (root, second_root_key) for name in ("a", "b") for number in (1, 2)
    }
    assert len(secrets) == 8
    assert {len(item) for item in secrets} == {32}
    assert b"root" not in root
    text = signing.secret_text(min(secrets))
    assert text.startswith("whsec_")
    assert b64decode(text.removeprefix("whsec_")) == min(secrets)


def entry(us: int, webhook: dict[str, Any] | None) -> Entry:
    return Entry("n", "namespace", "n", 1, False, None, us, us, {"code": "n", "webhook": webhook})


def test_a_webhook_begins_when_it_is_set_and_again_when_it_was_removed() -> None:
    first_document, elsewhere = {"url": URL}, {"url": "https://example.org/"}
    assert fold_hook("n", [entry(1, None)]) is None
    history = [entry(1, None), entry(2, first_document), entry(3, elsewhere)]
    hook = fold_hook("n", history)
    assert hook is not None
    assert (hook.since_us, hook.url, hook.shown) == (2, "https://example.org/", "https://example.org")
    assert hook.wants("invoice.paid", 2)
    assert not hook.wants("invoice.paid", 1)
    assert not hook.wants("invoice.drafted", 5)
    repeated_fold_hook = fold_hook("n", [*history, entry(4, None), entry(5, first_document)])
    assert repeated_fold_hook is not None
    assert repeated_fold_hook.since_us == 5
    assert fold_hook("n", [*history, entry(4, None)]) is None


def test_the_old_secret_signs_for_a_while_and_an_old_document_brings_none_back() -> None:
    turned = [entry(SECOND, {"url": URL}), entry(100 * SECOND, {"url": URL, "rotation": 2})]
    hook = fold_hook("n", [*turned, entry(150 * SECOND, {"url": URL})])
    assert hook is not None
    assert hook.rotations(100 * SECOND, 60) == [2, 1]
    assert hook.rotations(159 * SECOND, 60) == [2, 1]
    assert hook.rotations(160 * SECOND, 60) == [2]
    sent = signing.headers(hook.secrets(b"root", 110 * SECOND, 60), "m", 1, b"{}")["webhook-signature"].split(" ")
    for number, item in zip((2, 1), sent, strict=True):
        key = signing.secret(b"root", "n", number)
        assert item == "v1," + b64encode(hmac.new(key, b"m.1.{}", sha256).digest()).decode()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://example.com", "write https://"), ("https://", "write https://"),
        ("https://u:p@example.com", "no user and password"),
        ("https://example.com/#x", "never sent"), ("https://example.com/a b", "without spaces"),
        ("https://example.com:x/", "no URL"),
        (7, "a URL is text"),
    ],
)  # fmt: skip
def test_urls_that_cannot_be_sent_to_are_refused_in_the_catalog(url: Any, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Webhook(url=url)


def test_a_body_says_when_it_happened_in_json_that_is_the_same_each_time() -> None:
    result = body("invoice.paid", 1_700_000_000 * SECOND, {"name": "Zoë", "total": "1.50"})
    assert result == body("invoice.paid", 1_700_000_000 * SECOND, {"name": "Zoë", "total": "1.50"})
    assert json.loads(result) == {
        "type": "invoice.paid", "timestamp": "2023-11-14T22:13:20Z", "data": {"name": "Zoë", "total": "1.50"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("120", 120.0), (" 5 ", 5.0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("soon", None), ("-1", None),
     ("Tue, 14 Nov 2022 22:14:20 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, 1_700_000_000) == seconds
