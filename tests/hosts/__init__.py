"""Web applications that other people wrote, as the package index has them, with us in them.

The law of this package: each is installed in an environment of its own, which is kept below
``build/hosts`` and made anew when its requirements change. The host's programs, ``*_host.py``, run
there. One host is tried every day; all are when ``ORTTO_CAPTURE_CAMPAIGN`` is above 1.
"""
