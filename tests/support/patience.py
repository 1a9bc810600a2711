"""How long a test waits for what must come."""

PATIENCE = 120
"""Seconds after which a test fails; far more than anything takes, on a busy machine too."""
