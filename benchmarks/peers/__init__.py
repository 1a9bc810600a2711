"""The peers: servers that do a part of this server's work on the same data."""
