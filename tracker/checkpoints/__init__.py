"""Weights as files: reading, writing, averaging, converting, exporting."""
