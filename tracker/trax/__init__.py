"""What the VOT toolkit talks to; `tracker.trax_server` starts it."""
