"""The configuration: what it takes, how mistakes are told, and that the handbook knows every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from loacodecs.errors import ConfigurationError
from relay.config import ChannelConfig, Config, IceServer, load
from relay.mistakes import InvalidConfiguration

FULL = """
state_dir = "state"
[media]
listen = ["0.0.0.0:9000", "[::1]:9000"]
advertise = ["203.0.113.7", "203.0.113.7:9001"]
threads = 2
listeners_max = 100
consent_timeout = "15s"
media_timeout = "500ms"
history = 512
retransmissions = 50
receive_buffer = 1048576
send_buffer = 2097152
[http]
listen = "127.0.0.1:9080"
tls = "files"
certificate = "tls/cert.pem"
key = "/etc/loa/key.pem"
cors_origins = ["https://a.example"]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
body_limit = 20000
[[http.ice_servers]]
urls = ["turn:turn.example:3478"]
username = "loa"
credential = "turn-password"
[auth]
enabled = false
secret_file = "secret"
[channels]
auto = true
[channels.tinh]
title = "Đài tỉnh"
public = true
[channels."xa.01"]
source = "whep+https://tinh.example/tinh/whep"
token_file = "tinh.token"
[devices]
telemetry_on_air = "5s"
telemetry_idle = "2m"
links_max = 500
receipts_keep = "30d"
[metrics]
public = true
[log]
level = "debug"
format = "json"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "loa.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(write(folder, text), environ or {})
    assert str(caught.value) == "\n".join(str(mistake) for mistake in caught.value.mistakes)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_without_file_the_defaults_of_the_design() -> None:
    config = load(None, {})
    assert config.media.listen == ("[::]:8189",)
    assert config.http.listen == "[::]:8889"
    assert config.auth.enabled
    assert not config.channels.auto
    assert config == Config()


def test_a_full_file(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL), {})
    assert config.media.listen == ("0.0.0.0:9000", "[::1]:9000")
    assert config.media.consent_timeout == 15
    assert config.media.media_timeout == 0.5
    assert config.http.ice_servers[0].urls == ("turn:turn.example:3478",)
    devices = config.devices
    assert (devices.telemetry_on_air, devices.telemetry_idle) == (5, 120)
    assert (devices.links_max, devices.receipts_keep) == (500, 30 * 86_400)
    assert config.command_key_file == tmp_path / "state" / "command-key"
    assert config.store_file == tmp_path / "state" / "loa.sqlite3"
    assert config.channels.auto
    assert set(config.channels.named) == {"tinh", "xa.01"}
    assert config.channels.is_public("tinh")
    assert not config.channels.is_public("xa.01")
    assert not config.channels.is_public("none")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL), {})
    assert config.state_dir == tmp_path / "state"
    assert config.http.certificate == tmp_path / "tls" / "cert.pem"
    assert config.http.key == Path("/etc/loa/key.pem")
    assert config.secret_file == tmp_path / "secret"
    assert config.channels.named["xa.01"].token_file == tmp_path / "tinh.token"
    assert load(write(tmp_path, ""), {}).secret_file == Path("var/loa/token-secret"), "defaults stay put"


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().media.threads = 3


def test_secrets_do_not_show() -> None:
    config = Config.model_validate(
        {
            "http": {"ice_servers": [{"urls": "turn:x", "username": "u", "credential": "hush"}]},
            "channels": {"named": {"xa": {"source": "whep+https://x/y/whep", "token": "hush"}}},
        }
    )
    assert "hush" not in repr(config)
    assert "hush" not in str(config)
    assert config.channels.named["xa"].read_token() == "hush"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[channels.foo]\nsorce = 'x'", "channels.foo.sorce: unknown key (did you mean source?)"),
        ("[media]\nthread = 1", "media.thread: unknown key (did you mean threads?)"),
        ("[medai]\nthreads = 1", "medai: unknown key (did you mean media?)"),
        ("[http]\nzzz = 1", "http.zzz: unknown key"),
        ("[channels]\natuo = true", "channels.atuo: unknown key (did you mean auto?)"),
        ("[channels]\nxa = 'x'", "channels.xa: must be a table: [channels.xa]"),
        ("media = 3", "media: must be a table"),
        (
            "[[http.ice_servers]]\nurls = 'stun:x'\nurl = 'stun:x'",
            "http.ice_servers[0].url: unknown key (did you mean urls?)",
        ),
        ("[[http.ice_servers]]\nurls = []\n", "http.ice_servers[0].urls: "),
        ("[media]\nthreads = 'many'", "media.threads: must be a whole number"),
        (
            "[media]\nretransmissions = -1",
            "media.retransmissions: input should be greater than or equal to 0",
        ),
        (
            '[channels.xa]\nrenditions = ["60ms", "red-3"]',
            "channels.xa.renditions[1]: input should be '40ms', '60ms', 'red-1' or 'red-2'",
        ),
        ("[media]\nhistory = 1", "media.history: input should be greater than or equal to 16"),
        ("[media]\nconsent_timeout = 30", "media.consent_timeout: a duration needs a unit; write it as"),
        ("[media]\nmedia_timeout = '2 weeks'", "media.media_timeout: '2 weeks' is not a duration"),
        (
            "[media]\nmedia_timeout = '5ms'",
            "media.media_timeout: input should be greater than or equal to 0.2",
        ),
        ("[media]\nlisten = ['8189']", "media.listen[0]: '8189' is not an address and port"),
        ("[media]\nlisten = []", "media.listen: "),
        ("[media]\nadvertise = ['0.0.0.0']", "media.advertise[0]: '0.0.0.0' stands for every address"),
        ("[media]\nadvertise = ['relay.example']", "media.advertise[0]: 'relay.example'"),
        ("[http]\ntls = 'on'", "http.tls: input should be 'off', 'files' or 'self-signed'"),
        ("[http]\ntls = 'files'", 'http: tls = "files" needs both certificate and key'),
        ("[http]\ncertificate = 'x'", 'http: certificate and key are used only with tls = "files"'),
        ("[http]\ntrusted_proxies = ['proxy']", "http.trusted_proxies[0]: 'proxy'"),
        (
            "[devices]\ntelemetry_idle = '1s'",
            "devices.telemetry_idle: input should be greater than or equal to 5",
        ),
        ("[devices]\nreceipts_keep = 400", "devices.receipts_keep: a duration needs a unit"),
        ("[auth]\nenabled = 'maybe'", "auth.enabled: must be true or false"),
        ("[channels.Xa]", "channels.Xa: 'Xa' cannot name a channel"),
        ("[channels.metrics]", "channels.metrics: 'metrics' is a word of the relay's own addresses"),
        (
            "[channels.xa]\nsource = 'https://x/y/whep'",
            "channels.xa.source: 'https://x/y/whep' is not a source",
        ),
        (
            "[channels.xa]\ntoken = 'x'",
            "channels.xa: a token is presented to a source, and there is no source",
        ),
        ("[channels.xa]\ntitle = 5", "channels.xa.title: must be a text in quotes"),
        ("[log]\nlevel = 'loud'", "log.level: input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_mistake_is_one_line_with_its_path(tmp_path: Path, text: str, line: str) -> None:
    found = mistakes(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(line)
    assert "\n" not in found[0]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[media]\nthreads = -1\nfoo = 1\n[log]\nformat = 'xml'")
    assert [line.partition(":")[0] for line in found] == ["media.threads", "media.foo", "log.format"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[media\n", "is not TOML"),
        (b"\xff", "is not UTF-8 text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_an_unreadable_file_is_one_line(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "loa.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    assert str(caught.value).startswith(f"{path}: {sentence}")
    assert "\n" not in str(caught.value)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    environ = {
        "LOA_MEDIA__THREADS": "4",
        "LOA_MEDIA__LISTEN": "[::]:1,127.0.0.1:2",
        "LOA_MEDIA__ADVERTISE": '["192.0.2.9"]',
        "LOA_MEDIA__CONSENT_TIMEOUT": "20s",
        "LOA_HTTP__LISTEN": "[::]:7000",
        "LOA_HTTP__TLS": "self-signed",
        "LOA_AUTH__ENABLED": "true",
        "LOA_CHANNELS__AUTO": "false",
        "LOA_CHANNELS__TINH__TITLE": "Khác",
        "LOA_CHANNELS__MOI__PUBLIC": "yes",
        "LOA_STATE_DIR": "/srv/loa",
        "PATH": "/bin",
    }
    text = FULL.replace('certificate = "tls/cert.pem"', "").replace('key = "/etc/loa/key.pem"', "")
    config = load(write(tmp_path, text), environ)
    assert config.media.threads == 4
    assert config.media.listen == ("[::]:1", "127.0.0.1:2")
    assert config.media.advertise == ("192.0.2.9",)
    assert config.media.consent_timeout == 20
    assert config.http.listen == "[::]:7000"
    assert config.http.tls == "self-signed"
    assert config.auth.enabled
    assert not config.channels.auto
    assert config.channels.named["tinh"].title == "Khác"
    assert config.channels.named["tinh"].public, "the rest of the table stays"
    assert config.channels.named["moi"].public
    assert config.state_dir == Path("/srv/loa")
    assert config.media.history == 512


def test_mistakes_of_the_environment_name_the_variable(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[log]\nlevel = 'info'", {"LOA_LOG__LEVL": "debug", "LOA_MEDIA__THREADS": "x"})
    assert found == [
        "media.threads: must be a whole number (set by LOA_MEDIA__THREADS)",
        "log.levl: unknown key (did you mean level?) (set by LOA_LOG__LEVL)",
    ]


def test_a_variable_below_a_value_is_a_mistake(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "", {"LOA_LOG__LEVEL": "info", "LOA_LOG__LEVEL__X": "1"})
    assert found == ["LOA_LOG__LEVEL__X: points inside a value that is not a table"]


def test_variables_of_others_with_our_prefix_are_left_alone() -> None:
    assert (
        load(None, {"LOA_TOKEN": "x", "LOA_CONFIG": "y", "LOA_PORT_8889_TCP": "tcp://10.0.0.1"}) == Config()
    )


def test_a_channels_token_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    channel = ChannelConfig(source="whep+https://x/y/whep", token_file=path)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        channel.read_token()
    path.write_text("one\n")
    assert channel.read_token() == "one"
    path.write_text("two\n")
    assert channel.read_token() == "two"
    assert ChannelConfig().read_token() is None


@pytest.mark.parametrize(
    "server",
    [
        {"urls": ["http://x"]},
        {"urls": ["turn:x"]},
        {"urls": ['stun:x>; rel="evil"']},
        {"urls": ["turn:x"], "username": "a\r\nSet-Cookie: x", "credential": "y"},
        {"urls": ["turn:x"], "username": "ă", "credential": "y"},
    ],
)
def test_ice_servers_that_a_header_could_not_carry(server: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IceServer.model_validate(server)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the model as the handbook writes it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        below = list(models_in(field.annotation))
        if name == "named":
            yield from keys(below[0], "channels.NAME.")
        elif below:
            is_table = isinstance(field.annotation, type)
            yield from () if is_table else (path,)
            yield from keys(below[0], f"{path}." if is_table else f"{path}[].")
        else:
            yield path


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def test_the_handbook_names_every_key_and_no_other() -> None:
    handbook = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", handbook, re.MULTILINE))
    assert documented == set(keys(Config))


def test_the_defaults_of_the_handbook_are_those_of_the_code(tmp_path: Path) -> None:
    handbook = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+|channels\.NAME\.\w+)` \| `([^`]+)` \|", handbook, re.MULTILINE)
    assert len(rows) > 20
    told = {key: default for key, default in rows if key != "auth.secret_file"}
    text = "".join(f"{key.replace('NAME', 'xa')} = {default}\n" for key, default in told.items())
    config = load(write(tmp_path, text), {})
    channel = config.channels.named["xa"]
    plain = config.model_copy(
        update={"channels": config.channels.model_copy(update={"named": {}}), "state_dir": Path("var/loa")}
    )
    assert (plain, channel) == (Config(), ChannelConfig())


def test_the_examples_of_the_handbook_are_right(tmp_path: Path) -> None:
    handbook = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", handbook, re.DOTALL)
    assert examples
    for example in examples:
        load(write(tmp_path, example), {})


def test_folders_of_sources_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "loa.toml"
    file.write_text('[sources]\nallow_files = ["jingles", "/srv/loa"]\nallow_hosts = ["*.vov.vn"]\n')
    sources = load(file, {}).sources
    assert sources.allow_files == (tmp_path / "jingles", Path("/srv/loa"))
    assert sources.allow_hosts == ("*.vov.vn",)
    assert not sources.allow_private
