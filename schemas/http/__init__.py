"""HTTP infrastructure shared by the gateway and the rating service: server, API keys and scopes, parameters, fair
sharing, API documents."""
