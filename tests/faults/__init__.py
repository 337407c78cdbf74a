"""What the file backend survives: kills, full disks, broken files, crowds and forks.

The law of this package: real processes on a real directory, judged by what is on the disk and by an
independent account of what was promised, never by what the code under test believes. Every check
returns what it found wrong, so that each can be shown to find it: see ``variants``.
"""
