"""The pytest plugin, and what its fixtures can do."""
