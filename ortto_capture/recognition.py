"""Who a request is about, and what it may change on them: row 9 of the contract, and §7.

The law of this file: it looks people up and stores nothing. No stranger becomes somebody else by
what he claims, two known people are never merged, and nobody learns here whether somebody exists.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import TypeAlias

from .errors import BadToken, NotIdentified, Refused
from .identity import PersonFields, Tokens, person_fields
from .model import Assurance, Identified, Identifier, Person
from .ports import People
from .settings import Settings
from .wire import ActivityRequest

#: Somebody identified, and how: by a session, or by fields that may yet create them (id "").
Who: TypeAlias = tuple[str, Assurance, PersonFields | None]


class Recognition:
    """Tells who a request is about.

    :param new_id: returns a fresh person id.
    """

    def __init__(
        self, people: People, tokens: Tokens, settings: Settings, new_id: Callable[[], str]
    ) -> None:
        self._people = people
        #: Tells whether a person is stored; a ``People`` that is a container tells it more cheaply.
        self.known: Callable[[str], bool] = (
            people.__contains__
            if isinstance(people, Container)
            else lambda person_id: people.get(person_id) is not None
        )
        self._tokens = tokens
        self._settings = settings
        self._required = settings.identity == "required"
        self._new_id = new_id

    def of_activity(self, request: ActivityRequest, now: float) -> Who:
        """Who an activity is about (contract §4, row 9).

        Whether a session's person is still stored is left to :meth:`require` where nothing else
        could be meant: storing the activity must look again anyway.

        :raises NotIdentified: when nobody is, or not in the way that is required here.
        :raises BadToken: when a token is forged or expired and nothing else identifies.
        :raises MalformedRequest: when a member of ``person`` cannot be what its name says.
        """
        lost: Callable[[], Refused] | None = None
        if request.identity is None and request.session is not None:
            try:
                who = self._session(request.session, now)
                if request.person is not None:
                    self.require(who[0])
                return who
            except (BadToken, NotIdentified) as error:
                if request.person is None:
                    raise
                # Not the error itself: with its traceback it would hold this frame in a cycle.
                lost = partial(type(error), error.reason)
        try:
            fields = person_fields(request.person or {}, self._settings.merge_keys, "person.")
        except Refused:
            if lost is not None:
                raise lost() from None
            raise
        fields, assurance = self.vouched(fields, request.identity or fields.identity, now)
        if self.usable(fields, assurance):
            found = self._people.find(fields.lookup)
            if found is not None:
                return found.id, assurance, fields
            if not fields.skip_non_existing:
                return "", assurance, fields
        raise lost() if lost is not None else NotIdentified("no-session")

    def _session(self, token: str, now: float) -> Who:
        """Who a session token stands for.

        :raises BadToken: when it does not stand for anybody any more.
        :raises NotIdentified: when it is not good enough here.
        """
        session = self._tokens.open_session(token, now)
        if self._required and session.assurance != "verified":
            raise NotIdentified("identity-required")
        return session.person_id, session.assurance, None

    def require(self, person_id: str) -> None:
        """Refuse a session whose person is no longer stored.

        :raises NotIdentified: in that case.
        """
        if not self.known(person_id):
            raise NotIdentified("person-gone")

    def kept(self, token: str | None, now: float) -> Identified:
        """The answer to a ``track`` without identity."""
        if token is not None:
            try:
                self.require(self._session(token, now)[0])
            except (BadToken, NotIdentified):
                pass
            else:
                return Identified(token, True)
        return Identified(None, False)

    def vouched(
        self, fields: PersonFields, identity: str | None, now: float
    ) -> tuple[PersonFields, Assurance]:
        """The fields with what the host signed first, when it signed anything.

        Only that finds a person then: somebody who may prove one address must not become whoever
        holds the external id that he claims beside it.
        """
        if identity is None:
            return fields, "claimed"
        proven = self._tokens.open_identity(identity, now)
        kinds = {kind for kind, _ in proven}
        claimed = [each for each in fields.identifiers if each.kind not in kinds]
        return fields._replace(lookup=proven, identifiers=(*proven, *claimed)), "verified"

    def usable(self, fields: PersonFields, assurance: Assurance) -> bool:
        """Tell whether these fields identify anybody.

        :raises NotIdentified: when they would, had the host vouched for them.
        """
        if not fields.lookup:
            return False
        if assurance == "verified":
            return True
        if self._required:
            raise NotIdentified("identity-required")
        # Whether somebody exists is nobody's business, unless the operator says so.
        return not fields.skip_non_existing or self._settings.allow_skip_non_existing

    def merged(
        self, found: Person | None, fields: PersonFields, assurance: Assurance, now: float
    ) -> tuple[Person, tuple[str, ...]]:
        """The person as ``fields`` make them, and a note when an identifier was left alone."""
        verified = assurance == "verified"
        if found is None:
            # Nobody's data yet, so whatever assurance it comes with, it is filled in below.
            found = Person(self._new_id(), fields.lookup, None, None, "claimed", now)
        held = found.identifiers
        if verified and found.assurance == "claimed":
            # Whoever claimed the address first may have hung somebody else's id beside it.
            held = tuple(each for each in held if each in fields.lookup)
        kinds = {kind for kind, _ in held}
        added: list[Identifier] = []
        conflict = False
        for identifier in fields.identifiers:
            if identifier in held:
                continue
            # A stranger must not hang an identifier on somebody's record, nor anybody one that is
            # not proven on his own; nobody has two of a kind, and two known people are never
            # merged.
            if (
                verified
                and identifier in fields.lookup
                and identifier.kind not in kinds
                and self._people.find([identifier]) is None
            ):
                added.append(identifier)
            else:
                conflict = True
        merged = found._replace(identifiers=(*held, *added))
        if verified or found.assurance == "claimed":
            merged = merged._replace(
                first=fields.first or found.first,
                last=fields.last or found.last,
                assurance=assurance,
            )
        return merged, ("identity-conflict",) if conflict else ()
