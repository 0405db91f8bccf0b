"""Measures the tracker on annotated sequences."""
