"""Authentication: verify tokens of an OpenID Connect provider, and read identities from them."""
