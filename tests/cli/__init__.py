"""The command line, as people and as programs use it."""
