"""The shipped backends, held to the contracts of the ports."""
