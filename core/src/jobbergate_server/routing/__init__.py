"""Routes of plugins, and the way of a request through one."""
