"""The login at an OpenID Connect provider: authorization code with PKCE."""
