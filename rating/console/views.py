"""The pages as pure functions of what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from rating.api.usage import projection
from rating.books import Books
from rating.console.chart import bars
from rating.console.html import Child, Html, address, join, link, page, table, tag
from rating.invoices.amounts.billed_of_period import CHARGED
from rating.invoices.read import InvoiceHead, InvoiceLine, Page, WholeInvoice
from rating.pricing import plain
from schemas.ledgers.invoice_claims import VOID
from schemas.values.instants import instant, micros
from schemas.values.time_zones import parse_zone

_ACCOUNTS_SHOWN: Final = 200


def grouped(number: Decimal | int | str | None) -> str:
    """A number with thin spaces between thousands; "–" for none."""
    if number is None:
        return "–"
    whole, dot, fraction = (
        plain(Decimal(number)).partition(".") if not isinstance(number, str) else number.partition(".")
    )
    sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    return sign + f"{int(digits):,}".replace(",", "\u202f") + dot + fraction


def local(us: int, zone: str) -> str:
    """An instant as the account sees it: the date alone at local midnight."""
    moment = instant(us).astimezone(parse_zone(zone))
    return (
        f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else f"{moment:%Y-%m-%d %H:%M}"
    )


def header(namespace: str) -> Html:
    """What stands above every page."""
    logout = tag("form", tag("button", "Log out"), method="post", action="/logout")
    return tag(
        "header", tag("strong", link("Weir", namespace=namespace)), tag("span", namespace, class_="soft"),
        link("Billing runs", "runs", namespace=namespace), tag("a", "API", href="/docs"), logout,
    )  # fmt: skip


def login(after: str, note: str = "") -> Html:
    """The form that asks for the admin key; ``note``: what became of the last try."""
    told = tag("p", note, class_="bad", role="alert") if note else None
    key = tag("input", type="password", name="key", required=True, autofocus=True, autocomplete="current-password")
    form = tag(
        "form", tag("h1", "Weir"), tag("p", "The admin key (WEIR_ADMIN_KEY) opens the console.", class_="soft"), told,
        tag("label", "Admin key", key), tag("input", type="hidden", name="after", value=after),
        tag("button", "Log in", class_="first"), method="post", action="/login", class_="login",
    )  # fmt: skip
    return page("Log in", form)


def failure(title: str, detail: str) -> Html:
    """An error for people."""
    return page(title, tag("h1", title), tag("p", detail), tag("p", link("Back to the overview")))


def overview(
    namespace: str,
    namespaces: Sequence[str],
    books: Books,
    accounts: Sequence[str],
    invoices: Page,
    cursor: str | None,
    waiting: Page,
    webhook: Html | None,
) -> Html:
    """A namespace at a glance; ``waiting``: drafts; ``webhook``: how that stands."""
    chips = [
        tag("a", name, href=address(namespace=name), class_="here" if name == namespace else None)
        for name in namespaces
    ]
    more = len(accounts) - _ACCOUNTS_SHOWN
    named = [link(name, "accounts", name, namespace=namespace) for name in accounts[:_ACCOUNTS_SHOWN]]
    paging: list[Child] = [link("First page", namespace=namespace), " "] if cursor else []
    if invoices.next_cursor:
        paging.append(link("Further invoices", namespace=namespace, cursor=invoices.next_cursor))
    return page(
        namespace, header(namespace), tag("div", chips, class_="chips"),
        tag("h2", "Events"), ledger(books),
        tag("h2", "Accounts"), tag("div", named, class_="chips") if named else tag("p", "none yet", class_="soft"),
        tag("p", f"and {grouped(more)} more", class_="soft") if more > 0 else None,
        drafts(namespace, waiting),
        tag("h2", "Invoices"), heads(namespace, invoices.invoices), tag("p", paging),
        webhook,
    )  # fmt: skip


def ledger(books: Books) -> Html:
    """The books of events, as cards."""
    names = ("received", "refused", "accepted", "metered", "unmatched", "duplicates", "conflicts", "voided")
    cards = [tag("div", tag("b", grouped(getattr(books, name))), tag("span", name), class_="card") for name in names]
    told = (
        tag(
            "p",
            "The books balance: accepted = metered + unmatched + duplicates + conflicts; voided are of the metered.",
            class_="good",
        )
        if books.balanced
        else tag(
            "p", "The books do not balance at this moment: events may be under way. Reload in a while.", class_="bad"
        )
    )
    return join(tag("div", cards, class_="cards"), told)


def drafts(namespace: str, found: Page) -> Html | None:
    """Drafts, each with what it waits for; nothing where there are none."""
    if not found.invoices:
        return None
    rows = [
        (
            link(head.invoice_id, "invoices", head.invoice_id, namespace=namespace),
            link(head.account_id, "accounts", head.account_id, namespace=namespace),
            local(head.service_start_us, head.time_zone), local(head.service_end_us, head.time_zone),
            head.draft["waits"] if head.draft else "", f"{grouped(head.total)} {head.currency}",
        )
        for head in found.invoices
    ]  # fmt: skip
    more = " Only the latest are shown." if found.next_cursor else ""
    return join(
        tag("h2", "Drafts"),
        tag("p", "Not billed yet: each close refreshes them, and nothing counts them." + more, class_="soft"),
        table(("Draft", "Account", "From", "To (not incl.)", "Waits", "Total so far"), rows, frozenset({5})),
    )


def heads(namespace: str, found: Sequence[InvoiceHead]) -> Html:
    """A table of invoices."""
    if not found:
        return tag("p", "none yet; `weir close` bills what is due", class_="soft")
    rows = [
        (
            link(head.invoice_id, "invoices", head.invoice_id, namespace=namespace),
            link(head.account_id, "accounts", head.account_id, namespace=namespace),
            local(head.service_start_us, head.time_zone), local(head.service_end_us, head.time_zone),
            head.state, f"{grouped(head.total)} {head.currency}",
        )
        for head in found
    ]  # fmt: skip
    return table(("Invoice", "Account", "From", "To (not incl.)", "State", "Total"), rows, frozenset({5}))


def account(
    namespace: str, account_id: str, running: Mapping[str, Any], metrics: Sequence[str], usage: Mapping[str, Any] | None,
    asked: Mapping[str, str], problem: str | None, invoices: Page, credits: Mapping[str, Any], waiting: Page,
) -> Html:  # fmt: skip
    """An account: usage by day, the running period, its invoices."""
    options = [tag("option", name, value=name, selected=name == asked["metric"]) for name in metrics]
    form = tag(
        "form", tag("input", type="hidden", name="namespace", value=namespace),
        tag("label", "Metric", tag("select", options, name="metric")),
        tag("label", "From (local date)", tag("input", name="from", value=asked["from"], size=12)),
        tag("label", "To (not included)", tag("input", name="to", value=asked["to"], size=12)),
        tag("button", "Show", class_="first"), method="get", class_="line",
    )  # fmt: skip
    return page(
        account_id, header(namespace), tag("h1", account_id), tag("p", running["time_zone"], class_="soft"),
        tag("h2", "Usage by day"), form, tag("p", problem, class_="bad", role="alert") if problem else None,
        history(usage) if usage is not None else None,
        tag("h2", "Running period"), [tag("p", told, class_="bad", role="alert") for told in running.get("problems", ())],
        [estimate(one) for one in running["subscriptions"]] or tag("p", "no subscription is running", class_="soft"),
        prepaid(credits), drafts(namespace, waiting),
        tag("h2", "Invoices"), heads(namespace, invoices.invoices),
    )  # fmt: skip


def prepaid(credits: Mapping[str, Any]) -> Html | None:
    """Credit grants in the order in which invoices draw on them; nothing where there are none."""
    if not credits["grants"]:
        return None
    rows = [
        (
            one["code"], one["state"], (one["expires"] or "never")[:10],
            *(f"{grouped(one[name])} {one['currency']}" for name in ("granted", "used", "left")),
        )
        for one in credits["grants"]
    ]  # fmt: skip
    columns = ("Credit grant", "State", "Expires (UTC)", "Granted", "Used", "Left")
    return join(tag("h2", "Prepaid credits"), table(columns, rows, frozenset({3, 4, 5})))


def history(usage: Mapping[str, Any]) -> Html:
    """Bars by day, and their total."""
    zone = parse_zone(usage["time_zone"])
    values = [
        (
            f"{datetime.fromisoformat(row['from']).astimezone(zone):%m-%d}",
            None if row["quantity"] is None else Decimal(row["quantity"]),
        )
        for row in usage["rows"]
    ]
    total = usage["total"]
    told = (
        f"{usage['aggregation']}: {grouped(total['quantity'])} {usage['unit']} from {grouped(total['events'])} events"
    )
    rows = [(label, grouped(value)) for label, value in values]
    numbers = tag("details", tag("summary", "As a table"), table(("Day", "Quantity"), rows, frozenset({1})))
    return join(tag("div", bars(values, usage["unit"]), class_="chart"), tag("p", told), numbers)


def estimate(one: Mapping[str, Any]) -> Html:
    """What the running period has come to."""
    zone = one["time_zone"]
    rows = [
        (
            _charge(charge, one, zone), charge["metric"] or "", f"{grouped(charge['quantity'])} {charge['unit']}" if charge["metric"] else "",
            grouped(charge["amount"]), grouped(charge["projected_quantity"]) if charge["metric"] else "",
            grouped(charge["projected_amount"]), projection.shown(charge),
        )
        for charge in one["charges"]
    ]  # fmt: skip
    rows += [
        (join(f"{part['kind']} {part['code']}"), part["text"], "", grouped(part["amount"]), "", "", "")
        for part in one["reductions"]
    ]
    start, end = (local(micros(datetime.fromisoformat(one[name])), zone) for name in ("period_start", "period_end"))
    told = f"{one['subscription']}, plan {one['plan']} version {one['plan_version']}: {start} to {end} (not included), {zone}"
    with_credits = (
        one["estimated_subtotal"] != one["estimated_total"] or one["projected_subtotal"] != one["projected_total"]
    )
    before = (
        f"{grouped(one['estimated_subtotal'])} {one['currency']} before prepaid credits, "
        f"projected {grouped(one['projected_subtotal'])} {one['currency']}"
    )
    compared = "" if one["last_period"] else " There is no invoice of the period directly before to compare with."
    lacking = [part["text"] for charge in one["charges"] for part in charge.get("unpriced", ())]
    return join(
        tag("p", told, class_="soft"), [tag("p", text, class_="bad", role="alert") for text in lacking],
        table(("Charge", "Metric", "So far", "Amount", "At the end", "Amount then", "Last period"), rows, frozenset({2, 3, 4, 5, 6})),
        tag("p", before, class_="soft") if with_credits else None,
        tag("div", tag("span", "Estimated total"), tag("span", f"{grouped(one['estimated_total'])} {one['currency']}"), class_="total"),
        tag("div", tag("span", "Projected to the period's end"), tag("span", f"{grouped(one['projected_total'])} {one['currency']}"), class_="total"),
        tag("p", projection.METHOD + "." + compared, class_="soft"),
    )  # fmt: skip


def _charge(charge: Mapping[str, Any], one: Mapping[str, Any], zone: str) -> Html:
    """Its code; where it is for another time than the running period, as a fee in advance is, with that time."""
    if (charge["period_start"], charge["period_end"]) == (one["period_start"], one["period_end"]):
        return join(charge["charge"])
    ends = (local(micros(datetime.fromisoformat(charge[name])), zone) for name in ("period_start", "period_end"))
    return join(charge["charge"], tag("p", f"{' to '.join(ends)} (not included)", class_="soft"))


def invoice(namespace: str, whole: WholeInvoice) -> Html:
    """One invoice in full, each line with its steps."""
    head = whole.head
    told = (
        f"{local(head.service_start_us, head.time_zone)} to {local(head.service_end_us, head.time_zone)} (not included), {head.time_zone} · "
        f"{_plans(whole)} · {head.state} · as of checkpoint {head.checkpoint}"
    )
    before = link("the invoice before", "invoices", head.predecessor, namespace=namespace) if head.predecessor else None
    rows = [
        (
            link(line.number, "invoices", head.invoice_id, "lines", str(line.number), namespace=namespace),
            _described(line, head, namespace), _quantity(line), grouped(line.amount),
        )
        for line in whole.lines
    ]  # fmt: skip
    return page(
        head.invoice_id, header(namespace), tag("h1", "Draft " if head.draft else "Invoice ", tag("code", head.invoice_id)),
        tag("p", link(head.account_id, "accounts", head.account_id, namespace=namespace)), tag("p", told, class_="soft"),
        tag("p", before) if before else None, *_became(head, namespace), tag("h2", "Lines"),
        table(("#", "Line", "Quantity", f"Amount ({head.currency})"), rows, frozenset({2, 3})),
        tag("p", f"Subtotal before tax and prepaid credits: {grouped(head.subtotal)} {head.currency}") if head.subtotal != head.total else None,
        tag("div", tag("span", "Total"), tag("span", f"{grouped(head.total)} {head.currency}"), class_="total"),
        tag("p", "A line's number leads to the events behind it.", class_="soft"),
    )  # fmt: skip


def _plans(whole: WholeInvoice) -> str:
    """The plans that its charges were priced by, in the order of its lines; its own where it has no charges."""
    priced = [(line.plan, line.plan_version) for line in whole.lines if line.kind in CHARGED and line.plan]
    found = dict.fromkeys(priced or [(whole.head.plan, whole.head.plan_version)])
    return ", ".join(f"plan {code} version {version}" for code, version in found)


def _became(head: InvoiceHead, namespace: str) -> Iterator[Html]:
    """Its number, what is to be paid, what was, and why it is void or in whose place it stands."""
    if head.draft:
        yield tag(
            "p", tag("strong", f"Draft, version {head.version}: "), f"{head.draft['waits']}. Nothing of it is billed yet.",
            class_="bad" if head.draft["held"] else "soft",
        )  # fmt: skip
    if head.approved:
        told = f"Approved by {head.approved['author']} at {head.approved['at']}, as version {head.approved['draft']} of its draft"
        yield tag("p", told, class_="soft")
    if head.number:
        yield tag("p", "Number ", tag("strong", head.number))
    if head.void:
        yield tag(
            "p", tag("strong", "Void"), f" since {head.void['at']}, by {head.void['author']}: {head.void['reason']}"
        )
    if head.reissues:
        yield tag(
            "p", "in place of ", link(head.reissues, "invoices", head.reissues, namespace=namespace), ", which is void"
        )
    for payment in head.payments:
        yield tag(
            "p", f"Paid {grouped(payment['amount'])} {head.currency} at {payment['paid_at']}: {payment['reference']}"
        )
    for note in head.credit_notes:
        of_lines = ", ".join(f"line {line['line']}: {grouped(line['amount'])}" for line in note.get("lines", ()))
        told = f"Credit note {note['number'] or ''} over {grouped(note['subtotal'])} {head.currency}: {note['reason']}"
        for part in note["prepaid"]:
            told += f"; {grouped(part['amount'])} came back to prepaid credit {part['grant']}"
        yield tag("p", told + (f" ({of_lines})" if of_lines else ""))
    if head.state != VOID and not head.draft:
        due = f" by {head.body['due_date']}" if "due_date" in head.body else ""
        yield tag("p", f"Due{due}: {grouped(head.amount_due)} {head.currency}")


def _described(line: InvoiceLine, head: InvoiceHead, namespace: str) -> Html:
    span = None
    shown_above = (head.service_start_us, head.service_end_us), (head.period_start_us, head.period_end_us)
    if (line.period_start_us, line.period_end_us) not in shown_above:
        ends = (local(us, head.time_zone) for us in (line.period_start_us, line.period_end_us))
        span = tag("p", f"{' to '.join(ends)} (not included)", class_="soft")
    steps = tag("ul", [tag("li", str(step["text"])) for step in line.steps], class_="steps") if line.steps else None
    versions = ", ".join(map(str, line.profile_versions))
    metric = tag("span", f" · {line.profile_id} (version {versions})", class_="soft") if line.profile_id else None
    note = tag("p", line.note, class_="soft") if line.note else None
    adjusts = (
        tag("p", "adjusts ", link(line.adjusts, "invoices", line.adjusts, namespace=namespace))
        if line.adjusts
        else None
    )
    return join(tag("strong", line.description), metric, span, note, adjusts, steps)


def _quantity(line: InvoiceLine) -> str:
    return "" if line.quantity is None else f"{grouped(line.quantity)} {line.unit}".strip()
