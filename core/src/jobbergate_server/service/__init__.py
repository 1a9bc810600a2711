"""The built-in plugin: health, readiness, plugins, docs."""
