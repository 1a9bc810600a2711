"""Migrations of the core's own tables."""
