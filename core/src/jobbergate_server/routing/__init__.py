"""Routes of plugins, and how one processes a request."""
