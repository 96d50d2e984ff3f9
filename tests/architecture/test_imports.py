"""The shape of the code: what may import what, alone and in which company, and how long a file may grow."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "loacodecs": ROOT / "codecs" / "loacodecs",
    "loamedia": ROOT / "codecs" / "loamedia",
    "loaedge": ROOT / "clients" / "edge" / "loaedge",
    "loaweb": ROOT / "clients" / "web",
    "relay": ROOT / "relay",
    "bench": ROOT / "bench",
}
MAX_LINES = 400
# Files that may be longer, each with its reason. Empty, and meant to stay so: split by idea instead.
LONG_FILES: dict[str, str] = {}
SERVER_LIBRARIES = [
    *("fastapi", "httptools", "jinja2", "jwt", "llvmlite", "matplotlib", "numba", "prometheus_client"),
    *("psutil", "pydantic", "starlette", "uvicorn", "uvloop"),
]


def python_files(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*.py") if "node_modules" not in path.parts)


def modules(*packages: str) -> list[str]:
    """Dotted names of every module of the packages given; `__main__` modules are programs, not modules."""
    names = []
    for package in packages:
        for path in python_files(PACKAGES[package]):
            if path.name == "__main__.py":
                continue
            parts = (package, *path.relative_to(PACKAGES[package]).with_suffix("").parts)
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


# Third-party libraries are loaded once and shared; each of our modules is then imported in a forked child
# that has seen none of our other modules, which is what finds circular imports. A line of them a core.
IMPORT_EACH = """
import importlib, json, os, sys, traceback
for library in json.loads(sys.argv[2]):
    importlib.import_module(library)
ours = {"loacodecs", "loamedia", "loaedge", "loaweb", "relay", "bench"}
assert not ours & {name.split(".")[0] for name in sys.modules}

def in_a_child(work):
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            text = work()
        except BaseException:
            text = traceback.format_exc()[-2000:]
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    return os.fdopen(reader, "rb")

def alone(name):
    importlib.import_module(name)
    return ""

def line(names):
    failures = {}
    for name in names:
        with in_a_child(lambda: alone(name)) as pipe:
            text = pipe.read().decode()
        os.wait()
        if text:
            failures[name] = text
    return json.dumps(dict(list(failures.items())[:8]))

names, cores = json.loads(sys.argv[1]), os.cpu_count()
pipes = [in_a_child(lambda: line(names[core::cores])) for core in range(cores)]
print(json.dumps({name: text for pipe in pipes for name, text in json.loads(pipe.read()).items()}))
"""

# A receiver has the base installation: any attempt at a library of the server fails as if it were not there.
IMPORT_WITHOUT = """
import importlib, json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in json.loads(sys.argv[2]):
            raise ModuleNotFoundError(f"{name} is not part of the base installation", name=name)
sys.meta_path.insert(0, Absent())
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def fresh_interpreter(program: str, *arguments: object) -> str:
    """Standard output of a program run by an interpreter that has imported nothing yet."""
    result = subprocess.run(
        [sys.executable, "-c", program, *(json.dumps(argument) for argument in arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_every_module_imports_alone() -> None:
    third_party = [
        *("numpy", "av", "aiortc", "OpenSSL", "pylibsrtp", "httpx", "numba", "fastapi", "uvicorn"),
        *("jwt", "matplotlib", "prometheus_client", "pystoi", "scipy.ndimage", "scipy.signal", "soxr"),
    ]
    failures = json.loads(fresh_interpreter(IMPORT_EACH, modules(*PACKAGES), third_party))
    assert not failures, "\n".join(f"{name}:\n{text}" for name, text in failures.items())


def test_a_receiver_needs_no_library_of_the_server_and_nothing_of_the_relay() -> None:
    loaded = json.loads(fresh_interpreter(IMPORT_WITHOUT, modules("loacodecs", "loaedge"), SERVER_LIBRARIES))
    assert "loaedge" in loaded
    assert not {"relay", "bench"} & set(loaded)


def test_importing_the_relay_loads_nothing_of_the_receiver() -> None:
    loaded = json.loads(fresh_interpreter(IMPORT_WITHOUT, modules("relay"), []))
    assert "relay" in loaded
    assert not {"loaedge", "bench"} & set(loaded)


def test_help_is_quick_because_it_loads_no_codec_and_no_peer() -> None:
    program = (
        "import sys\nfrom loaedge.main import main\n"
        "sys.argv = ['loa', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    *help_text, last = fresh_interpreter(program).splitlines()
    assert any("serve" in line for line in help_text)
    loaded = set(last.split()[1:])
    assert "loaedge" in loaded
    assert not loaded & {"numpy", "av", "aiortc", "numba", "fastapi", "uvicorn"}


def test_the_import_contracts_hold() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert "0 broken" in result.stdout


OTHER_PEOPLES = {"node_modules", "reports"}
"""Folders whose files nobody writes by hand."""


@pytest.mark.parametrize("package", PACKAGES)
def test_no_source_file_outgrows_a_head(package: str) -> None:
    folder = PACKAGES[package]
    scripts = [*folder.rglob("*.js"), *folder.rglob("*.css"), *folder.rglob("*.html")]
    sources = [path for path in (*python_files(folder), *scripts) if not OTHER_PEOPLES & set(path.parts)]
    assert sources
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources}
    too_long = {
        name: lines for name, lines in lengths.items() if lines > MAX_LINES and name not in LONG_FILES
    }
    assert not too_long


def test_every_package_is_in_the_distribution() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join((name, *path.parent.relative_to(folder).parts))
        for name, folder in PACKAGES.items()
        for path in python_files(folder)
    }
    assert found == listed


LOCKS = {"edge": (), "server": ("server",), "bench": ("server", "bench"), "dev": ("server", "bench", "dev")}
"""The sets of locked versions, smallest first, and the extras whose requirements each must satisfy."""


def test_locked_sets_contain_one_another() -> None:
    pins = [set(locked(name).items()) for name in LOCKS]
    for smaller, larger in itertools.pairwise(pins):
        assert smaller < larger
    assert {"fastapi", "numba"} <= set(locked("server")) - set(locked("edge"))


@pytest.mark.parametrize("name", LOCKS)
def test_the_locked_versions_are_what_pyproject_asks_for(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        text for extra in LOCKS[name] for text in project["optional-dependencies"][extra]
    ]
    versions = locked(name)
    for requirement in map(Requirement, wanted):
        if requirement.name != "loa":
            version = versions.get(canonicalize_name(requirement.name), "")
            assert version, f"{requirement.name} is not locked; run make lock"
            assert requirement.specifier.contains(version, prereleases=True), f"run make lock: {requirement}"


def locked(name: str) -> dict[str, str]:
    """Versions of requirements/NAME.lock, by library.

    Every requirement must be pinned and hashed, and name no place to fetch it from.
    """
    versions: dict[str, str] = {}
    for block in (ROOT / "requirements" / f"{name}.lock").read_text().replace("\\\n", " ").splitlines():
        if block.startswith("#") or not block.strip() or block.lstrip().startswith("#"):
            continue
        requirement, *hashes = block.split()
        library, version = requirement.split("==")
        assert hashes, requirement
        assert all(item.startswith("--hash=sha256:") for item in hashes), requirement
        versions[library] = version
    return versions
