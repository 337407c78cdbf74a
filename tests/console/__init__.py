"""The console's promises: who sees it, what it says, and what it changes."""
