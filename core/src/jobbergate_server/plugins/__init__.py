"""Find, order and call plugins, and collect what they contribute."""
