"""Lists of a resource."""
