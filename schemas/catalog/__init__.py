"""The catalog: what customers declare (models), how its log becomes state, and which profile versions are valid
when."""
