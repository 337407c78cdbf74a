"""The activity page: what arrived and what was refused, for the people who run the website.

The law of this package: it reads and never writes, it says exactly what the public answers hide,
and it says it only to requests that the guard lets in.
"""

from .api import Console as Console
