"""Trackers for Python users: from settings, for whole videos, for the got10k toolkit."""
