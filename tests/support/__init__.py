"""Helpers that several test folders and the benchmarks share."""
