"""Questions that operators save, as reports and as audiences, and what a notebook asks.

The law of this package: a saved question is stored as the JSON that it has everywhere, and read as
strictly. What cannot be read is shown as broken, and harms no other.

A notebook takes all that it needs from here: ``from ortto_capture.reports import Query, Did``.
"""

from ..questions.query import All as All
from ..questions.query import Any as Any
from ..questions.query import Did as Did
from ..questions.query import Funnel as Funnel
from ..questions.query import In as In
from ..questions.query import Not as Not
from ..questions.query import Query as Query
from ..questions.query import Where as Where
from .audiences import Audience as Audience
from .audiences import Audiences as Audiences
from .refusals import Refusals as Refusals
from .reports import Pinned as Pinned
from .reports import Report as Report
from .reports import Reports as Reports
from .reports import parse_question as parse_question
from .saved import Saved as Saved
