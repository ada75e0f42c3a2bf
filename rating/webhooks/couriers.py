"""The webhooks that the catalog has, with a courier for each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable

from rating.webhooks.courier import Courier, CourierContext
from rating.webhooks.hook import WebhookEndpoint, webhooks_of
from rating.webhooks.queue import QueuedDelivery
from schemas.catalog.state import Entry, NamespaceView


class Couriers:
    """For the event loop, but for ``note``. ``view``: a namespace's newest catalog; ``start``: runs a courier until the
    process ends."""

    def __init__(
        self,
        context: CourierContext,
        view: Callable[[str], NamespaceView],
        start: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._context = context
        self._view = view
        self._start = start
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._couriers: dict[tuple[str, str], Courier] = {}
        self.hooks: dict[str, dict[str, WebhookEndpoint]] = {}
        """Namespace → code → webhook, as ``follow_hooks`` last saw them."""

    def note(self, entry: Entry) -> None:
        """Take in the next entry of the catalog. Any thread."""
        if entry.kind == "namespace":
            with self._lock:
                self._changed.add(entry.namespace)

    def follow_hooks(self) -> None:
        """Let couriers have the webhooks as the catalog has them now."""
        with self._lock:
            changed, self._changed = self._changed, set()
        for name in changed:
            before = self.hooks.get(name, {})
            hooks = self.hooks[name] = webhooks_of(self._view(name))
            for code in before.keys() | hooks.keys():
                self._courier(name, code).set_hook(hooks.get(code))

    def hand_out(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Each to the courier of its webhook."""
        for delivery in deliveries:
            self._courier(delivery.namespace, delivery.webhook).add([delivery])

    def waiting(self) -> Counter[str]:
        """Namespace → deliveries that its couriers have; 0 where they have none."""
        waiting = Counter[str]()
        for (name, _), courier in self._couriers.items():
            waiting[name] += len(courier)
        return waiting

    def _courier(self, namespace: str, webhook: str) -> Courier:
        key = namespace, webhook
        if key not in self._couriers:
            courier = Courier(namespace, self._context)
            courier.set_hook(self.hooks.get(namespace, {}).get(webhook))
            self._couriers[key] = courier
            self._start(courier.run())
        return self._couriers[key]
