"""How far the whole pipeline is, whichever processes run it: what waits, and what stands still."""
