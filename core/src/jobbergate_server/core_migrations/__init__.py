"""Migrations of the core's own table."""
