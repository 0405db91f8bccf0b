"""Reads the training sets in the layouts in which their authors distribute them, and tar shards.

`read_data` recognizes a folder by its contents; each layout has a module of its own that documents it.
"""

from tracker.training.readers.recognize import read_data

__all__ = ["read_data"]
