"""Drills: they cause failures, and check the server and its data (`make drills`)."""
