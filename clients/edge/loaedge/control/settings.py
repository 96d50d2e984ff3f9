"""The last settings a relay commanded, kept so that a restart without network plays on as before."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loacodecs.control import Settings, parse_settings, settings_args
from loacodecs.errors import MalformedError
from loacodecs.strict_json import finite, load_object

from ..disk import Disk, DiskError

SETTINGS_FILE: Final = "settings.json"
_LIMIT: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """Settings and the relay time at which they were commanded."""

    settings: Settings
    at: float


class SettingsStore:
    """One small file, for several threads. `fault` says what is wrong with it, "" when nothing is."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.fault = ""
        self._lock = threading.Lock()
        self._path = path
        self._disk = disk or Disk()

    def load(self) -> KeptSettings | None:
        """What was kept; None when there is nothing, or nothing that can be trusted (see `fault`)."""
        try:
            data = self._disk.read(self._path, _LIMIT)
            if data is None:
                return None
            document = load_object(data.decode(), _LIMIT)
            at, args = document["at"], document["settings"]
            if not finite(at) or not isinstance(args, dict):
                raise ValueError("not what was written")
            return KeptSettings(parse_settings(args), float(at))
        except DiskError as error:
            self.fault = str(error)
        except (MalformedError, ValueError, KeyError):
            self.fault = f"{self._path} is broken: waiting for the relay's settings"
        return None

    def save(self, settings: Settings, at: float) -> bool:
        """Keep `settings`; False when the disk does not take them: they hold until the next restart only."""
        data = json.dumps({"at": round(at, 3), "settings": settings_args(settings)}).encode()
        with self._lock:
            try:
                self._disk.replace(self._path, data)
            except DiskError as error:
                self.fault = str(error)
                return False
            self.fault = ""
            return True
