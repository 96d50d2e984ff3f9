"""All revocations in force, in memory: whether a token is void is a look into two dictionaries, for each request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from relay.errors import RevocationsFull
from relay.revocation_ports import Revocation
from relay.tokens import Grant

REVOCATIONS_MAX: Final = 10_000


class Revocations:
    """Changed by one thread; `is_revoked` may be asked from others."""

    def __init__(self) -> None:
        self._tokens: dict[str, Revocation] = {}
        self._subjects: dict[str, Revocation] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def is_revoked(self, grant: Grant) -> bool:
        """Whether a grant is void by its own token, its subject, or whoever invited its bearer."""
        for known, names in (
            (self._tokens, (grant.id, grant.parent)),
            (self._subjects, (grant.subject, grant.inviter)),
        ):
            for name in names:
                found = known.get(name) if name else None
                if found is not None and found.voids(grant):
                    return True
        return False

    def add(self, wanted: Revocation) -> Revocation:
        """Take one in; gives what is in force then. Raises RevocationsFull.

        What is void stays void: a token keeps its first revocation, a subject takes the later one.
        """
        known = self._tokens if wanted.kind == "token" else self._subjects
        before = known.get(wanted.name)
        if before is None and len(self) >= REVOCATIONS_MAX:
            raise RevocationsFull(
                f"{REVOCATIONS_MAX} revocations are in force; void all tokens by a new token-secret instead"
            )
        if before is not None:
            wanted = _both(before, wanted)
        known[wanted.name] = wanted
        return wanted

    def restore(self, kept: Iterable[Revocation]) -> None:
        """Take in what was in force before a restart, beside what is already."""
        for each in kept:
            (self._tokens if each.kind == "token" else self._subjects).setdefault(each.name, each)

    def expire(self, now: float) -> Sequence[Revocation]:
        """Forget what voids nothing any more; gives it."""
        over = [each for each in self.all() if each.until <= now]
        for each in over:
            del (self._tokens if each.kind == "token" else self._subjects)[each.name]
        return over

    def all(self) -> Sequence[Revocation]:
        """The latest first."""
        every = [*self._tokens.values(), *self._subjects.values()]
        return sorted(every, key=lambda each: each.revoked, reverse=True)


def _both(before: Revocation, wanted: Revocation) -> Revocation:
    if wanted.kind == "subject":
        return max(before, wanted, key=lambda each: each.revoked)
    known = wanted.subject or before.subject
    return replace(before, subject=known, until=min(before.until, wanted.until))
