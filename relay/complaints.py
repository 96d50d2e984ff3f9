"""Why a relay could not be asked, or did not answer as one: what went wrong and the mend, each in one sentence.

httpx, whose exceptions are told here, is imported by who asks.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

_E = TypeVar("_E", bound=BaseException)

#: X509_V_ERR_… of OpenSSL's x509_vfy.h.
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
_GATEWAY: Final = (502, 503, 504)


def no_answer(url: str, error: Exception, seconds: float) -> str:
    """Of a request to the relay `url` that had no answer; `seconds` is how long it was waited for."""
    import httpx

    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return f"{url} is not the address of a relay, as https://host is"
    distrusted = _cause(error, ssl.SSLCertVerificationError)
    if distrusted is not None:
        return _distrust(url, distrusted)
    if _cause(error, ssl.SSLError) is not None:
        plain = url.replace("https://", "http://", 1)
        return f"{url} does not speak TLS as it should; if the relay is without it, say --url {plain}"
    if _cause(error, socket.gaierror) is not None:
        return f"there is no host {urlsplit(url).hostname}; check --url, and whether this machine has a name server"
    if isinstance(error, httpx.ConnectTimeout):
        return (
            f"nothing answers at {url} within {seconds:g} s; check --url, the network and firewalls between"
        )
    if isinstance(error, httpx.TimeoutException):
        return f"{url} took the request and says nothing for {seconds:g} s; the relay's log may tell why"
    refused = _cause(error, ConnectionRefusedError)
    if refused is not None:
        return f"no relay runs at {url}; start it (loa serve), or say where it is by --url"
    unreachable = _cause(error, OSError)
    if isinstance(error, httpx.ConnectError):
        why = (unreachable.strerror if unreachable is not None else None) or str(error)
        return f"{url} cannot be reached: {why}; check --url and the network"
    if url.startswith("http://"):
        secure = url.replace("http://", "https://", 1)
        return f"{url} hangs up without an answer; if the relay has TLS, say --url {secure}"
    return f"{url} hangs up without an answer; check --url, and whether a relay runs there"


def _distrust(url: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"the certificate of {url} is for another name; use in --url a name that stands in it"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        when = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return f"the certificate of {url} {when}; renew it there, and look at this machine's clock"
    return (
        f"the certificate of {url} is not known here; if it is the relay's own, give it with --cacert FILE "
        f"(a copy of its certificate), else renew it there"
    )


def odd_answer(url: str, answer: httpx.Response) -> str:
    """Of an answer that is not as a relay gives it."""
    status = answer.status_code
    if answer.is_redirect and answer.headers.get("location"):
        there = urlsplit(str(answer.next_request.url if answer.next_request else answer.headers["location"]))
        return f"{url} sends elsewhere; say --url {there.scheme}://{there.netloc}"
    if status in _GATEWAY:
        return (
            f"the proxy at {url} answers {status}: the relay behind it does not run, or is not where it looks"
        )
    return f"{url} is no Loa relay, it answers {status}; check --url"


def _cause(error: BaseException, kind: type[_E]) -> _E | None:
    return next((each for each in _chain(error) if isinstance(each, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it."""
    current: BaseException | None = error
    for _ in range(16):
        if current is None:
            return
        yield current
        if isinstance(current, BaseExceptionGroup):  # of the addresses of one host; the first will do
            current = current.exceptions[0]
        else:
            current = current.__cause__ or current.__context__
