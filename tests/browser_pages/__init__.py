"""The pages we draw, in a real browser: the activity page and the demo shop."""
