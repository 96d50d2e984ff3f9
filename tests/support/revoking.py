"""Revocations without a disk, for tests of what ends by them."""

from __future__ import annotations

from collections.abc import Sequence

from relay.access.revocations import Revocations
from relay.revocation_ports import Revocation, RevocationDone
from relay.tokens import Grant

REVOKED = 1_800_000_000.0


class HandRevocations:
    """A `RevocationDesk` in memory alone; `revoke` does it at once. `kept`: what it says of its disk."""

    def __init__(self) -> None:
        self.kept = True
        self._revocations = Revocations()

    def revoke(self, grant: Grant) -> None:
        """Void the token of that grant."""
        self._add(Revocation("token", grant.id, grant.subject, REVOKED, "test", grant.expires))

    def is_revoked(self, grant: Grant) -> bool:
        return self._revocations.is_revoked(grant)

    async def revoke_token(self, token: str, *, subject: str, until: float | None, by: str) -> RevocationDone:
        return self._add(Revocation("token", token, subject, REVOKED, by, until or REVOKED + 1e9))

    async def revoke_subject(self, subject: str, *, by: str) -> RevocationDone:
        return self._add(Revocation("subject", subject, subject, REVOKED, by, REVOKED + 1e9))

    def revocations(self) -> Sequence[Revocation]:
        return self._revocations.all()

    def _add(self, wanted: Revocation) -> RevocationDone:
        return RevocationDone(self._revocations.add(wanted), 0, self.kept)
