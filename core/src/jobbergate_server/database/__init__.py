"""Rows, transactions and events, on SQLite and PostgreSQL."""
