"""How fast this server is beside others that do the same work: run by `make bench`."""
