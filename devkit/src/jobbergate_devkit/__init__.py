"""What authors of plugins need, and production does not."""
