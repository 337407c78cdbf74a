"""The demo shop, in a real browser, and what is asked of every page we draw."""
