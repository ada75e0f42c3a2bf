"""How a namespace's webhook stands, in a few lines of its overview. Pure."""

from __future__ import annotations

from rating.console.html import Html, join, tag
from rating.console.text import grouped
from schemas.values.json_text import JsonObject


def webhook_summary(status: JsonObject) -> Html | None:
    """``status`` is what GET /v1/webhooks says; nothing where there is no webhook and never was one."""
    hooks = [hook for hook in (status["webhook"], *status["webhooks"]) if hook is not None]
    counts = [(name, status[name.replace(" ", "_")]) for name in ("delivered", "waiting", "given up")]
    if not hooks and not any(count for _, count in counts):
        return None
    lines = [tag("p", _address(hook)) for hook in hooks] or [tag("p", "none any longer")]
    if hooks and not status["delivering"]:
        lines.append(
            tag("p", "No process delivers: python -m rating.webhooks does not run.", class_="bad", role="alert")
        )
    cards = [tag("div", tag("b", grouped(count)), tag("span", name), class_="card") for name, count in counts]
    lines.append(tag("div", cards, class_="cards"))
    good, bad = status["last_success"], status["last_failure"]
    if good is not None:
        lines.append(tag("p", f"Last delivered: {good['message_id']} at {good['last_attempt']}", class_="soft"))
    if bad is not None:
        lines.append(
            tag("p", f"Last refused: {bad['message_id']} at {bad['refused_at']}: {bad['error']}", class_="soft")
        )
    if status["waiting"]:
        lines.append(tag("p", f"Waiting since {status['oldest_waiting']}, next try {status['next_try'] or 'now'}"))
    if status["given_up"]:
        lines.append(tag("p", "Given up ones are sent again by `weir webhook replay --given-up`.", class_="bad"))
    return join(tag("h2", "Webhook"), *lines)


def _address(hook: JsonObject) -> str:
    name = f"{hook['code']}: " if hook["code"] else ""
    return f"{name}{hook['url']}" + ("" if hook["enabled"] else " (disabled: what comes waits)")
