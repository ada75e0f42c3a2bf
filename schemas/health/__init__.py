"""Health of a process: named readiness reasons, stalled processing stages, free disk space."""
