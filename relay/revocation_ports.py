"""What HTTP, the store and the sessions know of revoked tokens: values, and the desk that revokes.

`relay.http` is written against `RevocationDesk`; `relay.access` provides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from relay.tokens import Grant

RevocationKind = Literal["token", "subject"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is void. Times are unix seconds.

    name        the token's id, or the subject of whom every token is void that was minted until `revoked`
    subject     whose token it is, "" where only the id is known
    revoked_by  the subject of who revoked
    until       when it may be forgotten: nothing that it voids is good any more
    """

    kind: RevocationKind
    name: str
    subject: str
    revoked: float
    revoked_by: str
    until: float

    def voids(self, grant: Grant) -> bool:
        """Whether what was granted is so no more, invitations included."""
        if self.kind == "token":
            return self.name in (grant.id, grant.parent)
        return self.name in (grant.subject, grant.inviter) and grant.issued <= self.revoked


@dataclass(frozen=True, slots=True)
class RevocationDone:
    """What came of a revocation: the sessions it ended, and whether a restart would know of it."""

    revocation: Revocation
    sessions: int
    kept: bool


class RevocationDesk(Protocol):
    """Revokes tokens, for the thread of the event loop."""

    def is_revoked(self, grant: Grant) -> bool:
        """Whether a token that was once good has been revoked; from any thread, in constant time."""
        ...

    async def revoke_token(self, token: str, *, subject: str, until: float | None, by: str) -> RevocationDone:
        """Void the token of that id; `subject` and its end `until` where they are known. Raises RevocationsFull."""
        ...

    async def revoke_subject(self, subject: str, *, by: str) -> RevocationDone:
        """Void every token of `subject` that has been minted until now. Raises RevocationsFull."""
        ...

    def revocations(self) -> Sequence[Revocation]:
        """All that are in force, the latest first."""
        ...
