"""Find, order and call plugins, and collect their contributions."""
