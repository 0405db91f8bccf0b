"""One's own videos: where frames come from, what is drawn on them, and what is written."""
