"""Who a request is about, and what it may change on them: contract §4, row 9, and §7.

The law of this file: it looks people up and stores nothing. A claim never makes the visitor another
person, two known people are never merged, and no answer here tells whether a person exists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from .errors import BadToken, ConfigurationError, NotIdentified, Refused
from .identity import Identity, PersonFields, Tokens, person_fields
from .model import Assurance, Identified, Identifier, Person
from .ports import People
from .settings import Settings
from .wire import ActivityRequest

#: Asks the host who is signed in; None in place of it where the host must not be asked.
Host: TypeAlias = Callable[[], Identity | None] | None

_log = logging.getLogger("ortto_capture")


@contextmanager
def unusable_is_none(logged: set[str]) -> Iterator[None]:
    """Ask, within, who is signed in: a user who makes no :class:`Identity` counts as not signed in.

    That is one without an address, for example. Neither a page nor a checkout of theirs may fail.

    :param logged: what the log has been told once.
    """
    try:
        yield
    except ConfigurationError as error:
        if error.field not in ("email", "ei"):
            raise
        if (said := str(error)) not in logged:
            logged.add(said)
            _log.warning(
                "a user makes no Identity and counts as not signed in: %s",
                said,
                extra={"event": "unusable-identity"},
            )


class Visitor(NamedTuple):
    """Who an activity is about: ``person``, or whom ``fields`` describe where a session does not.

    ``person`` is None when the fields name a person who is not stored yet.
    """

    person: Person | None
    assurance: Assurance
    fields: PersonFields | None = None


class Merged(NamedTuple):
    """A person as some fields make them.

    :param save: whom to store, in order: people who lose an identifier, then ``person``; empty when
        nothing changes.
    :param charged: whether the new-people limit is charged: a person is created, or a visitor who
        proves nothing asks for a change of a known profile, whether or not it is made.
    :param notes: for the outcome.
    """

    person: Person
    save: tuple[Person, ...]
    charged: bool
    notes: tuple[str, ...]


class Recognition:
    """Tells who a request is about.

    :param new_id: returns a fresh person id.
    """

    def __init__(
        self, people: People, tokens: Tokens, settings: Settings, new_id: Callable[[], str]
    ) -> None:
        self._people = people
        self._tokens = tokens
        self._settings = settings
        self._required = settings.identity == "required"
        self._new_id = new_id

    def visitor(
        self, request: ActivityRequest, now: float, host: Host = None, *, proof: bool = False
    ) -> Visitor:
        """Look up who an activity is about (contract §4, row 9).

        A session comes first: an activity belongs to the person for whom it was called. Another
        one may have signed in by the time it arrives.

        :param proof: whether a claim is not enough. Only then is the host asked about a session:
            a retry may arrive after the visitor has signed in, and with another assurance it would
            be another event.
        :raises NotIdentified: when no person is named, or not in the way that is required here.
        :raises BadToken: when a token is forged or expired and nothing else identifies.
        :raises MalformedRequest: when a member of ``person`` cannot be what its name says.
        """
        bad_session: Refused | None = None
        if request.identity is None and request.session is not None:
            asked = host if proof or self._required else None
            visitor = self._of_session(request.session, now, asked)
            if isinstance(visitor, Visitor):
                return visitor
            if request.person is None:
                raise visitor
            bad_session = visitor
        try:
            fields = person_fields(request.person or {}, self._settings.merge_keys, "person.")
            token = request.identity or fields.identity
            fields, assurance = self.vouched(fields, token, now, host)
            usable = self.usable(fields, assurance)
        except Refused:
            if bad_session is not None:
                raise bad_session from None
            raise
        if usable:
            person = self.find(fields, assurance)
            if person is not None or not fields.skip_non_existing:
                return Visitor(person, assurance, fields)
        raise bad_session or NotIdentified("no-session")

    def find(self, fields: PersonFields, assurance: Assurance) -> Person | None:
        """Look up the person whom ``fields`` name: the holder of the first identifier held.

        Proof beats claim: a person whom the host has vouched for comes before one who only claimed
        an identifier that the host vouches for now.
        """
        found = self._people.find(fields.lookup)
        if assurance == "verified" and found is not None and found.assurance == "claimed":
            for identifier in fields.lookup:
                holder = self._people.find([identifier])
                if holder is not None and holder.assurance == "verified":
                    return holder
        return found

    def kept(self, token: str | None, now: float) -> Identified:
        """The answer to a ``track`` without identity: the present session, where it is valid."""
        if token is not None and isinstance(self._of_session(token, now), Visitor):
            return Identified(token, True)
        return Identified(None, False)

    def named(self, identity: Identity) -> Visitor:
        """Who the host names, on its own word."""
        fields = PersonFields(
            identity.identifiers, identity.identifiers, None, None, False, None, ()
        )
        return Visitor(self.find(fields, "verified"), "verified", fields)

    def _of_session(self, token: str, now: float, host: Host = None) -> Visitor | Refused:
        """Who a session token stands for, or why it stands for none.

        A claimed session of the person who is signed in counts as verified, if the host is asked.
        """
        try:
            session = self._tokens.open_session(token, now)
        except BadToken as error:
            # A new one: the one raised holds this frame by its traceback.
            return BadToken(error.reason)
        person = self._people.get(session.person_id)
        if person is None:
            return NotIdentified("person-gone")
        if session.assurance == "claimed":
            identity = host() if host is not None else None
            login = self.named(identity) if identity is not None else None
            if login is not None and login.person is not None and login.person.id == person.id:
                return login
            if self._required:
                return NotIdentified("identity-required")
        return Visitor(person, session.assurance)

    def vouched(
        self, fields: PersonFields, token: str | None, now: float, host: Host = None
    ) -> tuple[PersonFields, Assurance]:
        """The fields with what the host vouches for first, when it vouches for anything.

        It does so by an identity token, or because the person whom the fields name is signed in.
        Only what it vouches for finds a person then: a visitor who can prove one address must not
        become the person who holds the external id that is claimed beside it.
        """
        if token is not None:
            proven = self._tokens.open_identity(token, now)
        else:
            identity = host() if host is not None else None
            if identity is None or not _is_about(fields, identity):
                return fields, "claimed"
            proven = identity.identifiers
        kinds = {kind for kind, _ in proven}
        claimed = [each for each in fields.identifiers if each.kind not in kinds]
        return fields._replace(lookup=proven, identifiers=(*proven, *claimed)), "verified"

    def usable(self, fields: PersonFields, assurance: Assurance) -> bool:
        """Tell whether these fields identify a person.

        :raises NotIdentified: when they would, had the host vouched for them.
        """
        if not fields.lookup:
            return False
        if assurance == "verified":
            return True
        if self._required:
            raise NotIdentified("identity-required")
        # A stranger must not learn whether an address is known, unless the operator allows it.
        return not fields.skip_non_existing or self._settings.allow_skip_non_existing

    def merged(
        self, found: Person | None, fields: PersonFields, assurance: Assurance, now: float
    ) -> Merged:
        """The person as ``fields`` make them (contract §7)."""
        if found is None:
            person = Person(
                self._new_id(), fields.lookup, fields.first, fields.last, assurance, now
            )
            conflict = fields.identifiers != fields.lookup
            return Merged(person, (person,), True, ("identity-conflict",) if conflict else ())
        if assurance == "verified":
            return self._vouched_for(found, fields)
        # A claim may fill and update a claimed profile, and sets no identifier on a known person.
        renamed = found._replace(first=fields.first or found.first, last=fields.last or found.last)
        conflict = any(each not in found.identifiers for each in fields.identifiers)
        notes = ("identity-conflict",) if conflict else ()
        if renamed == found:
            return Merged(found, (), False, notes)
        if found.assurance == "verified":
            # Charged like a change that is made: the time of the answer must not tell the visitor
            # that the host has vouched for this person.
            return Merged(found, (), True, notes)
        return Merged(renamed, (renamed,), True, notes)

    def _vouched_for(self, found: Person, fields: PersonFields) -> Merged:
        """A known person whom the host vouches for now.

        What was only claimed before goes, names and identifiers: a stranger may have claimed the
        address first and set another person's id beside it. A proven identifier is taken from a
        person who only claimed it; one that the host vouched for elsewhere stays there.
        """
        held, first, last = found.identifiers, found.first, found.last
        if found.assurance == "claimed":
            held = tuple(each for each in held if each in fields.lookup)
            first = last = None
        kinds = {kind for kind, _ in held}
        losers: dict[str, Person] = {}
        added: list[Identifier] = []
        conflict = False
        for identifier in fields.identifiers:
            if identifier in held:
                continue
            if identifier not in fields.lookup or identifier.kind in kinds:
                conflict = True
                continue
            holder = self._people.find([identifier])
            if holder is not None:
                conflict = True
                if holder.assurance == "verified":
                    continue
                if holder.id != found.id:
                    holder = losers.get(holder.id, holder)
                    kept = tuple(each for each in holder.identifiers if each != identifier)
                    losers[holder.id] = holder._replace(identifiers=kept)
            added.append(identifier)
        person = found._replace(
            identifiers=(*held, *added),
            first=fields.first or first,
            last=fields.last or last,
            assurance="verified",
        )
        save = () if person == found else (*losers.values(), person)
        return Merged(person, save, False, ("identity-conflict",) if conflict else ())


def _is_about(fields: PersonFields, identity: Identity) -> bool:
    """Tell whether fields name the person who is signed in, or name none.

    A page may have named its visitor before another person signed in, so the login says nothing
    about fields that name another person, or that cannot be compared with it.
    """
    named, signed_in = dict(fields.identifiers), dict(identity.identifiers)
    both = named.keys() & signed_in.keys()
    return not named or (bool(both) and all(named[kind] == signed_in[kind] for kind in both))
