"""Processes, connections and shutdown."""
