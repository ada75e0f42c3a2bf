"""HTTP concerns of the gateway: authorisation, request bodies, rate limits, overload, problem documents."""
