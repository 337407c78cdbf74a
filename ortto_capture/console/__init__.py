"""The console: what arrived and what was refused, for the people who run the website.

The law of this package: it says exactly what the public answers hide, only to requests that it lets
in; what it changes, it records.
"""
