"""Benchmarks of this server and its peers, run by `make bench`."""
