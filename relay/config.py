"""The configuration: one TOML file, then `LOA_*` environment variables over it.

Every key is documented in docs/configuration.md; unknown keys are mistakes. Models are frozen, durations are
seconds, paths written in the file are relative to the file's folder. `load` is the only way in that reports
mistakes by their key's path; the models can be built directly by tests.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from loacodecs.errors import ConfigurationError
from relay.addresses import split_address, split_advertised
from relay.automation.settings import AutomationConfig
from relay.config_model import ConfigModel as _Model
from relay.config_model import Duration
from relay.config_model import items as _items
from relay.live.settings import MixInputConfig, MixSettings, check_inputs
from relay.mistakes import InvalidConfiguration, Mistake, mistakes_in, with_origins
from relay.names import checked_channel_name
from relay.outputs.settings import RecordingConfig, RtpConfig

#: Keys of the top level that are not tables; `LOA_STATE_DIR` sets one.
_TOP_LEVEL_TEXTS = frozenset({"state_dir"})


def _listen(text: str) -> str:
    split_address(text)
    return text


def _advertised(text: str) -> str:
    address, _ = split_advertised(text)
    if ipaddress.ip_address(address).is_unspecified:
        raise ValueError(f"{text!r} stands for every address; name the one listeners can reach")
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


def _source(text: str) -> str:
    if not text:
        return text
    url = urlsplit(text)
    if url.scheme not in ("whep+https", "whep+http") or not url.hostname:
        raise ValueError(
            f"{text!r} is not a source; write the channel's address as whep+https://relay/channel/whep"
        )
    return text


ListenAddress = Annotated[str, AfterValidator(_listen)]
AdvertisedAddress = Annotated[str, AfterValidator(_advertised)]
Network = Annotated[str, AfterValidator(_network)]
ChannelName = Annotated[str, AfterValidator(checked_channel_name)]
Source = Annotated[str, AfterValidator(_source)]


_NOT_EMPTY = Field(min_length=1)


class MediaConfig(_Model):
    """The UDP port and the fan-out."""

    listen: Annotated[tuple[ListenAddress, ...], BeforeValidator(_items), _NOT_EMPTY] = ("[::]:8189",)
    advertise: Annotated[tuple[AdvertisedAddress, ...], BeforeValidator(_items)] = ()
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    listeners_max: Annotated[int, Field(ge=1, le=100_000)] = 5000
    consent_timeout: Annotated[Duration, Field(ge=5, le=300)] = 30.0
    media_timeout: Annotated[Duration, Field(ge=0.2, le=60)] = 2.0
    history: Annotated[int, Field(ge=16, le=8192)] = 256
    retransmissions: Annotated[int, Field(ge=0, le=10_000)] = 100
    nice: Annotated[int, Field(ge=-20, le=19)] = -10
    receive_buffer: Annotated[int, Field(ge=65_536, le=1 << 30)] = 4 << 20
    send_buffer: Annotated[int, Field(ge=65_536, le=1 << 30)] = 4 << 20


#: Characters that would break out of the Link header.
_UNSAFE = frozenset(' <>"\\')


class IceServer(_Model):
    """A STUN or TURN server told to clients (RFC 9725 §4.6)."""

    urls: Annotated[tuple[str, ...], BeforeValidator(_items), _NOT_EMPTY]
    username: str = ""
    credential: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _check(self) -> IceServer:
        for url in self.urls:
            scheme = url.partition(":")[0]
            if scheme not in ("stun", "stuns", "turn", "turns") or not url.isascii() or set(url) & _UNSAFE:
                raise ValueError(f"{url!r} is not a STUN or TURN address such as turn:turn.example.vn:3478")
            if scheme.startswith("turn") and not (self.username and self.credential.get_secret_value()):
                raise ValueError(f"{url!r} needs username and credential")
        # Both travel in a Link header field, whose text is ASCII (RFC 9110 §5.5).
        for text in (self.username, self.credential.get_secret_value()):
            if not text.isascii() or not all(character.isprintable() for character in text):
                raise ValueError("username and credential take printable ASCII only")
        return self


class HttpConfig(_Model):
    """WHIP, WHEP, pages, API and metrics."""

    listen: ListenAddress = "[::]:8889"
    tls: Literal["off", "files", "self-signed"] = "off"
    certificate: Path | None = None
    key: Path | None = None
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_items)] = ("*",)
    ice_servers: tuple[IceServer, ...] = ()
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_items)] = ()
    body_limit: Annotated[int, Field(ge=1024, le=1 << 20)] = 65_536

    @model_validator(mode="after")
    def _check(self) -> HttpConfig:
        if self.tls == "files" and not (self.certificate and self.key):
            raise ValueError('tls = "files" needs both certificate and key')
        if self.tls != "files" and (self.certificate or self.key):
            raise ValueError('certificate and key are used only with tls = "files"')
        return self


class AuthConfig(_Model):
    """Bearer tokens."""

    enabled: bool = True
    secret_file: Path | None = None


#: What listeners may ask for besides the packets as the source makes them; see relay/channels/renditions.py.
RenditionName = Literal["40ms", "60ms", "red-1", "red-2"]
RENDITIONS: tuple[RenditionName, ...] = ("40ms", "60ms", "red-1", "red-2")


class ChannelConfig(MixSettings):
    """One named channel."""

    title: Annotated[str, Field(max_length=200)] = ""
    source: Source = ""
    token: SecretStr | None = None
    token_file: Path | None = None
    class_from: Annotated[str, Field(pattern=r"^(loa-[A-Za-z0-9_-]{16})?$")] = ""
    public: bool = False
    renditions: Annotated[tuple[RenditionName, ...], BeforeValidator(_items)] = RENDITIONS
    stream: bool = True
    recording: RecordingConfig = RecordingConfig()
    rtp: tuple[RtpConfig, ...] = ()
    automation: AutomationConfig = AutomationConfig()

    @model_validator(mode="after")
    def _check(self) -> ChannelConfig:
        if self.token and self.token_file:
            raise ValueError("token and token_file say the same thing twice; keep one")
        if (self.token or self.token_file) and not self.source:
            raise ValueError("a token is presented to a source, and there is no source")
        if self.class_from and not self.source:
            raise ValueError(
                "class_from names the relay that a channel is pulled from, and there is no source"
            )
        if self.source and self.mode == "mix":
            raise ValueError(
                "a mixed channel is not pulled from another relay: pull that into a channel of its own, and name this"
                ' one "channel:NAME" as the source of an input'
            )
        if self.mode == "mix":
            self.automation.check_room({each.name for each in self.inputs}, self.inputs_max)
        elif "automation" in self.model_fields_set:
            raise ValueError('automation is for a mixed channel; write mode = "mix" as well')
        return self

    def read_token(self) -> str | None:
        """The token to present to `source`, read anew each time so that a renewed file is taken up.

        Raises ConfigurationError when the file cannot be read.
        """
        if self.token is not None:
            return self.token.get_secret_value()
        if self.token_file is None:
            return None
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a token"
            raise ConfigurationError(f"token_file {self.token_file} cannot be read: {reason}") from None


class ChannelsConfig(_Model):
    """All channels: in TOML `[channels.NAME]` tables, beside the settings of `[channels]` itself."""

    auto: bool = False
    named: dict[ChannelName, ChannelConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> ChannelsConfig:
        check_inputs({name: (*each.inputs, *each.automation.sources) for name, each in self.named.items()})
        return self

    def is_public(self, name: str) -> bool:
        """Whether anybody may listen to the channel `name` without a token."""
        channel = self.named.get(name)
        return channel is not None and channel.public


class DevicesConfig(_Model):
    """Edge receivers and their control links."""

    telemetry_on_air: Annotated[Duration, Field(ge=1, le=600)] = 10.0
    telemetry_idle: Annotated[Duration, Field(ge=5, le=3600)] = 60.0
    links_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    receipts_keep: Annotated[Duration, Field(ge=86_400)] = 400 * 86_400.0


class SourcesConfig(_Model):
    """What may be opened that somebody names by the API; a source named in the configuration may be anything."""

    allow_files: Annotated[tuple[Path, ...], BeforeValidator(_items)] = ()
    allow_hosts: Annotated[tuple[str, ...], BeforeValidator(_items)] = ()
    allow_private: bool = False
    allow_devices: Annotated[tuple[str, ...], BeforeValidator(_items)] = ()


class MetricsConfig(_Model):
    """Prometheus metrics."""

    public: bool = False


class LogConfig(_Model):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(_Model):
    """The whole configuration."""

    media: MediaConfig = MediaConfig()
    http: HttpConfig = HttpConfig()
    auth: AuthConfig = AuthConfig()
    channels: ChannelsConfig = ChannelsConfig()
    devices: DevicesConfig = DevicesConfig()
    sources: SourcesConfig = SourcesConfig()
    metrics: MetricsConfig = MetricsConfig()
    log: LogConfig = LogConfig()
    state_dir: Path = Path("var/loa")

    @property
    def secret_file(self) -> Path:
        """Where the secret that signs tokens is kept."""
        return self.auth.secret_file or self.state_dir / "token-secret"

    @property
    def command_key_file(self) -> Path:
        """Where the key that signs commands to receivers is kept."""
        return self.state_dir / "command-key"

    @property
    def store_file(self) -> Path:
        """The database of devices and receipts."""
        return self.state_dir / "loa.sqlite3"


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration in the TOML file `path` (None: defaults), `LOA_*` variables of `environ` over it.

    `LOA_MEDIA__THREADS=2` sets media.threads, `LOA_STATE_DIR=…` sets state_dir; lists take commas or TOML.
    Raises InvalidConfiguration with every mistake found; an unreadable file is a single mistake.
    """
    values = {} if path is None else _read(path)
    mistakes, origins = _overlay(values, environ)
    channels = values.get("channels")
    if isinstance(channels, dict):
        own = {key: value for key, value in channels.items() if key == "auto"}
        named = {key: value for key, value in channels.items() if key != "auto"}
        values["channels"] = own | {"named": named}
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        mistakes += with_origins(mistakes_in(error, Config), origins)
    if mistakes:
        raise InvalidConfiguration(mistakes)
    return config if path is None else _relative_to(config, path.parent)


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfiguration([Mistake(str(path), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise InvalidConfiguration([Mistake(str(path), "is not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfiguration([Mistake(str(path), f"is not TOML: {error}")]) from None


def _overlay(values: dict[str, object], environ: Mapping[str, str]) -> tuple[list[Mistake], dict[str, str]]:
    """Put `LOA_*` variables into `values`; their mistakes, and which key came from which.

    A variable without a double underscore is a setting only when it names a key of the top level: others
    share the prefix without being ours to judge (LOA_TOKEN of the clients, LOA_PORT of a container platform).
    """
    mistakes: list[Mistake] = []
    origins: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith("LOA_"):
            continue
        keys = variable.removeprefix("LOA_").lower().split("__")
        if len(keys) == 1 and keys[0] not in _TOP_LEVEL_TEXTS:
            continue
        table: object = values
        for key in keys[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[keys[-1]] = _environment_value(environ[variable])
            origins[".".join(keys)] = variable
        else:
            mistakes.append(Mistake(variable, "points inside a value that is not a table"))
    return mistakes, origins


def _environment_value(text: str) -> object:
    """Lists and tables are TOML; anything else is text, which the models turn into what they need."""
    if text.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text  # [::]:8189 begins so too
    return text


def _relative_to(config: Config, folder: Path) -> Config:
    """`config` with the paths that its file gave taken from the file's folder."""

    def placed(model: _Model) -> _Model:
        changes: dict[str, object] = {}
        for name in model.model_fields_set:
            value = getattr(model, name)
            if isinstance(value, Path):
                changes[name] = folder / value
            elif isinstance(value, tuple) and any(isinstance(item, Path) for item in value):
                changes[name] = tuple(folder / item for item in value)
            elif isinstance(value, tuple) and any(isinstance(item, MixInputConfig) for item in value):
                changes[name] = tuple(item.placed_in(folder) for item in value)
            elif isinstance(value, AutomationConfig):
                changes[name] = value.placed_in(folder)
            elif isinstance(value, _Model):
                changes[name] = placed(value)
            elif name == "named":
                changes[name] = {channel: placed(settings) for channel, settings in value.items()}
        return model.model_copy(update=changes)

    result = placed(config)
    assert isinstance(result, Config)
    return result
