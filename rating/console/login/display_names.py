"""What people call things: the display names of accounts, products, plans, metrics and subscriptions. Pure."""

from __future__ import annotations

from schemas.catalog.state import NamespaceView


def display_name(view: NamespaceView, kind: str, code: str) -> str:
    """The newest display name of an entry, also of a retired one; "" where it has none or there is none. ``kind``:
    account, product, plan, …; ``metric``: ``code`` is meter.profile."""
    if kind == "metric":
        return _metric_name(view, code)
    versions = view.history(kind, code)
    return str(versions[-1].body.get("name") or "") if versions else ""


def _metric_name(view: NamespaceView, profile_id: str) -> str:
    """The meter's name, with the profile's where the meter has several; "" where neither has one."""
    meter, _, profile = profile_id.partition(".")
    versions = view.history("meter", meter)
    if not versions:
        return ""
    name, profiles = str(versions[-1].body.get("name") or ""), versions[-1].body.get("profiles") or ()
    profile_name = next((str(one.get("name") or "") for one in profiles if one.get("code") == profile), "")
    if len(profiles) < 2 or not (name or profile_name):
        return name or profile_name
    return f"{name or meter}: {profile_name or profile}"
