"""What can be asked about activities and people, and what is answered.

The law of this package: a question is a value that knows no medium. It is checked when it is built,
so that a journal that is asked finds nothing to refuse in it, and it has one form in JSON.
``plain`` answers from a list of activities; what every other journal answers is the same.
"""
