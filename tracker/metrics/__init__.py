"""Scores of answers against the truth. Every number names its protocol; no room here knows trackers or files."""
