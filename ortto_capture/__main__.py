"""``python -m ortto_capture``, the same as ``ortto-capture``."""

from .cli import main

if __name__ == "__main__":
    main()
