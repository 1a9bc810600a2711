"""Who is asking: the tokens of an OpenID Connect provider, verified and turned into identities."""
