"""One target through one video: search, judge, segment, answer, learn (`tracker.py`), and what that needs."""
