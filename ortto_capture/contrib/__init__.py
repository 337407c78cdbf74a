"""At home in web frameworks: one module each, imported by the host that uses it.

The law of this package: an integration translates between its framework and the public names of
``ortto_capture``, and decides nothing about activities, people or limits. Integrations know nothing
of each other; what they share is ``configured``, ``policy`` and ``visitors``.
"""
