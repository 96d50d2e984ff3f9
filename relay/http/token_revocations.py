"""The revocation of tokens; both routes need a token with scope admin for all channels (`*`).

    POST   /api/v1/tokens/revocations   void a token, or every token of a subject that was minted until now
    GET    /api/v1/tokens/revocations   what is void, the latest first

Who administers some channels cannot revoke: which channels a token or a subject is for cannot be told from an id, and
globs do not say which channels they share.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from relay.device_ports import DEVICE_SUBJECT
from relay.http.auth import REALM, Authority
from relay.http.errors import Problem
from relay.http.json_body import documented, json_response, read_model, refusals
from relay.http.peer import Peer
from relay.revocation_ports import Revocation, RevocationDesk, RevocationDone, RevocationKind
from relay.tokens import TOKEN_LENGTH_MAX, Grant, TokenError, Tokens

PATH: Final = "/api/v1/tokens/revocations"
_log = logging.getLogger(__name__)


class RevocationWanted(BaseModel):
    """One of the three: a token's text, a token's id, or the subject of whom every token minted until now is void."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=TOKEN_LENGTH_MAX)] | None = None
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    subject: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None

    @model_validator(mode="after")
    def _one(self) -> RevocationWanted:
        if sum(each is not None for each in (self.token, self.id, self.subject)) != 1:
            raise ValueError("say what to revoke by one of token, id and subject")
        return self


class VoidTokens(BaseModel):
    """What is void: the token of id `name`, or the tokens of subject `name` minted until `revoked`.

    `until`: when it is forgotten, since nothing that it voids would be good any more. Times are unix seconds.
    """

    kind: RevocationKind
    name: str
    subject: str
    revoked: float
    revoked_by: str
    until: float


class NewlyVoidTokens(VoidTokens):
    """What is void from now on, how many WHIP and WHEP sessions that ended, and whether a restart would know of it."""

    sessions: int
    kept: bool


class RevocationList(BaseModel):
    """The latest first."""

    revocations: list[VoidTokens]


def _void(revocation: Revocation) -> VoidTokens:
    return VoidTokens(**asdict(revocation))


@dataclass(frozen=True, slots=True)
class Revoking:
    """The handlers."""

    desk: RevocationDesk
    tokens: Tokens
    authority: Authority

    async def revoke(self, request: Request) -> Response:
        """POST."""
        peer = self.authority.peer(request)
        grant = self._grant(request, peer)
        wanted = await read_model(request, RevocationWanted)
        done = await self._revoke(wanted, grant.subject)
        revocation = done.revocation
        _log.warning(
            "%s revoked",
            "token" if revocation.kind == "token" else "all tokens of a subject",
            extra={
                "revoked": revocation.name,
                "of": revocation.subject,
                "by": grant.subject,
                "address": peer.address,
                "sessions": done.sessions,
                "kept": done.kept,
            },
        )
        body = NewlyVoidTokens(**asdict(revocation), sessions=done.sessions, kept=done.kept)
        return json_response(body, 201)

    async def all(self, request: Request) -> Response:
        """GET."""
        self._grant(request, self.authority.peer(request))
        return json_response(RevocationList(revocations=[_void(each) for each in self.desk.revocations()]))

    async def _revoke(self, wanted: RevocationWanted, by: str) -> RevocationDone:
        if wanted.subject is not None:
            _check_receiver(wanted.subject)
            return await self.desk.revoke_subject(wanted.subject, by=by)
        if wanted.id is not None:
            return await self.desk.revoke_token(wanted.id, subject="", until=None, by=by)
        try:
            grant = self.tokens.recognise(wanted.token or "")
        except TokenError as error:
            raise Problem(422, f"this cannot be revoked: {error}") from None
        if self.tokens.expired(grant):
            raise Problem(422, "the token has expired and opens nothing any more; there is nothing to revoke")
        _check_receiver(grant.subject)
        return await self.desk.revoke_token(grant.id, subject=grant.subject, until=grant.expires, by=by)

    def _grant(self, request: Request, peer: Peer) -> Grant:
        grant = self.authority.require(request, peer, "admin")
        if "*" not in grant.channels:
            challenge = f'{REALM}, error="insufficient_scope", scope="admin"'
            sentence = "tokens are revoked with a token of scope admin for all channels ('*')"
            raise Problem(403, sentence, {"WWW-Authenticate": challenge})
        return grant


def _check_receiver(subject: str) -> None:
    """A receiver gets another token only in time; it would be silent till then. Raises Problem 422."""
    if subject.startswith(DEVICE_SUBJECT):
        device = subject.removeprefix(DEVICE_SUBJECT)
        raise Problem(422, f"this is a receiver's; revoke the receiver itself: loa device revoke {device}")


def install(routes: APIRouter, desk: RevocationDesk, tokens: Tokens, authority: Authority) -> None:
    """Add the routes."""
    handlers = Revoking(desk, tokens, authority)
    table: tuple[tuple[str, Any, str, int, type[BaseModel], type[BaseModel] | None], ...] = (
        (
            "POST",
            handlers.revoke,
            "Revoke a token, or all of a subject",
            201,
            NewlyVoidTokens,
            RevocationWanted,
        ),
        ("GET", handlers.all, "The tokens that are revoked", 200, RevocationList, None),
    )
    for method, handler, summary, status, answer, body in table:
        success: dict[int | str, dict[str, Any]] = {status: {"model": answer}}
        routes.add_api_route(
            PATH,
            handler,
            methods=[method],
            summary=summary,
            status_code=status,
            response_class=Response,
            response_model=None,
            responses=success | (refusals(401, 403, 409, 422) if body else refusals(401, 403)),
            openapi_extra=documented(body) if body else None,
        )
