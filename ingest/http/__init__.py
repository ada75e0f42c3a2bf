"""HTTP at the gateway: who may, bodies, limits, overload, problem documents."""
