"""Signing in by OpenID Connect: authorisation code with PKCE, at one or more identity providers."""
