"""Plans what is due in a close, from the catalog, the valid invoices and late usage."""

from __future__ import annotations

from dataclasses import replace

from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.invoices.waiting import CloseError
from rating.invoicing.late.late_usage import LateBySubscription, find_late
from rating.invoicing.run_plan import RunPlan, make_plan
from schemas.catalog.follower import read_catalog
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import micros


class Planning:
    """Plans by the last catalog read. The newest plan is cached, since it is needed several times for the same
    state."""

    def __init__(self, request: CloseRequest, ledgers: FollowedLedgers) -> None:
        self._request = request
        self._ledgers = ledgers
        self._catalog: Catalog | None = None
        self._planned: tuple[tuple[int, LateBySubscription, int], RunPlan] | None = None

    @property
    def catalog(self) -> Catalog:
        """The last catalog read. Raises LedgerUnavailable."""
        return self._catalog or self.read_catalog()

    def read_catalog(self) -> Catalog:
        """Read the present catalog. Raises LedgerUnavailable."""
        self._catalog = read_catalog(self._request.settings)
        return self._catalog

    def view(self, offset: int | None = None) -> NamespaceView:
        """The namespace as of a catalog offset, None: everything read."""
        return self.catalog.view(self._request.namespace, offset)

    def late(self, as_of: Cut | None) -> LateBySubscription:
        """Usage that arrived for billed periods, up to a cut (None: live)."""
        carried = {version.profile_id for version in profile_versions(self.view()) if version.carry_over}
        request, ledgers = self._request, self._ledgers
        return find_late(
            request.client, request.namespace, ledgers.standing, ledgers.checkpoints.checkpoints, as_of, carried
        )

    def plan(self, late: LateBySubscription, offset: int | None = None) -> RunPlan:
        """What is due by the catalog as of ``offset`` (None: everything read). Raises CloseError."""
        request, standing = self._request, self._ledgers.standing
        view = self.view(offset)
        if offset is None and not view.known:
            known = ", ".join(self.catalog.namespaces())
            raise CloseError(f"there is no namespace {request.namespace}; known: {known}")
        state = (view.before, late, standing.applied)
        if self._planned is None or self._planned[0] != state:
            plan = make_plan(view, standing, micros(request.as_of), late)
            self._planned = state, replace(plan, listed=request.settings.priced_values)
        return self._planned[1]
