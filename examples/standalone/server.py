"""The demo shop, as ``ortto-capture demo`` serves it; its code is in ``ortto_capture/cli/shop``."""

import sys

from ortto_capture.cli import main

sys.argv.insert(1, "demo")
main()
