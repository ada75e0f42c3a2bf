"""What if: another price or plan over the real usage of a past period. Nothing is written, anywhere.

Owns: the catalog as it would be (``catalog.py``) and the comparison (``simulation.py``). Rates by the close's own code:
planning, queries and pricing see another catalog, and know of nothing else.
"""

from rating.whatif.catalog import Scenario, ScenarioError
from rating.whatif.simulation import PeriodSimulation, simulate

__all__ = ["PeriodSimulation", "Scenario", "ScenarioError", "simulate"]
