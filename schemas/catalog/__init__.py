"""The catalog: models of what customers declare, the state derived from its log, and the profile versions valid at
each instant."""
