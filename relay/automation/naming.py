"""What somebody may name by the API: judged before it is queued, and once more when it is opened."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from loacodecs.errors import ConfigurationError
from loamedia.errors import SourceForbidden
from loamedia.policy import Policy
from loamedia.spec import parse_spec
from relay.errors import SourceRefused, Unprocessable


async def checked_source(text: str, policy: Policy) -> str:
    """`text` as it is to be opened: a file's name becomes its path in one of `allow_files`.

    An address is not asked here: what becomes of it is told when it is opened, where every address it leads to is
    judged. Raises SourceRefused, Unprocessable.
    """
    try:
        spec = parse_spec(text)
    except ConfigurationError as error:
        raise Unprocessable(str(error)) from None
    try:
        if spec.kind == "file":
            return await asyncio.to_thread(_found, spec.target, policy)
        if spec.kind == "alsa":
            policy.check_device(spec.target)
        if spec.network:
            policy.check_host(_host(spec.target), named=spec.kind == "rtsp")
    except SourceForbidden as error:
        raise SourceRefused(str(error)) from None
    return text.strip()


def _found(name: str, policy: Policy) -> str:
    if not policy.allow_files:
        raise SourceRefused("files are not allowed: [sources] allow_files names no folder")
    for folder in policy.allow_files:
        # of files elsewhere nobody learns whether they are there
        with contextlib.suppress(OSError, RuntimeError):  # too long, not to be looked into, links in a circle
            path = (folder / name).resolve()
            if path.is_relative_to(folder.resolve()) and path.is_file():
                return str(path)
    raise Unprocessable(f"there is no file {name[:200]} in the folders of [sources] allow_files")


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""
