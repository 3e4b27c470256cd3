"""Deployment packages: one zip per function, with what it needs and nothing else; the same bytes from the same source.

Nothing is compressed: what a compressor writes depends on its version, and these are small.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Mapping
from modulefinder import ModuleFinder
from pathlib import Path
from types import MappingProxyType
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import msgspec
from msgspec import Struct

from local import topology
from local.emulation.folder import make_folder
from local.topology import Function
from shared.core.target_config import RAILWAY_API
from shared.errors import ConfigError
from shared.runtime import config as configuration
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY, N8N_API
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
CONFIG = Settings().signalbox_config
SECRETS = "secrets.json"
"""Beside the packages: the names of Railway's tokens by signalbox.toml, for Terraform, which does not read TOML."""
LOCKS = Path("requirements", "functions")
"""What each function installs, NAME.txt: made by `make lock`, and copied into its package."""
BACKEND = Settings().signalbox_backend.partition(":")[0]
"""Named in a setting instead of imported."""

PROBING = ("deploy", "verify", "sweep")
"""The functions that probe an application's health, for which topology.yaml has no grant."""
GRANTED: Mapping[str, Callable[[Function], bool]] = MappingProxyType(
    {
        "shared.cloud.firestore": lambda function: function.store != "none",
        "shared.cloud.pubsub": lambda function: bool(function.publishes),
        "shared.cloud.secrets": lambda function: bool(function.secrets),
        "shared.clients": lambda function: function.is_called,
        "shared.clients.github": lambda function: GITHUB_APP_PRIVATE_KEY in function.secrets,
        "shared.clients.railway": lambda function: RAILWAY_API in function.secrets,
        "shared.clients.n8n": lambda function: N8N_API in function.secrets,
        "shared.clients.probe": lambda function: function.name in PROBING,
        "shared.runs.repositories": lambda function: GITHUB_APP_PRIVATE_KEY in function.secrets,
    }
)
"""Modules that are imported when they are first used, and which functions may use them by topology.yaml. The others'
packages do not hold them, nor what only these import."""

_PIN = re.compile(r"^([\w.-]+)==", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE = 0o100644 << 16


class Package(Struct, frozen=True):
    """`requirements` are names of distributions."""

    function: str
    file: Path
    bytes: int
    sha256: str
    requirements: tuple[str, ...]


def build(out: Path, *, root: Path = ROOT, config: Path | None = None) -> list[Package]:
    """Write a zip for each function of the topology, and SECRETS. Raises ConfigError."""
    functions = topology.load(root / "functions" / "topology.yaml").functions
    settings = config or root / CONFIG
    configured = configuration.load(settings)
    packages = []
    make_folder(out)
    tokens = sorted({token.secret for token in configured.railway_tokens})
    _write(out / SECRETS, msgspec.json.format(msgspec.json.encode({"railway": tokens})) + b"\n")
    for function in functions:
        content = {**_content(function, root), CONFIG: settings.read_bytes()}
        zipped = _zip(content)
        file = out / f"{function.name}.zip"
        _write(file, zipped)
        names = tuple(_PIN.findall(content["requirements.txt"].decode()))
        packages.append(Package(function.name, file, len(zipped), hashlib.sha256(zipped).hexdigest(), names))
    return packages


def _content(function: Function, root: Path) -> dict[str, bytes]:
    main, lock = root / "functions" / function.name / "main.py", root / LOCKS / f"{function.name}.txt"
    for file in (main, lock):
        if not file.is_file():
            raise ConfigError(f"{file}: there is no such file, but topology.yaml has a function {function.name}")
    files = modules(function, root).values()
    sources = {file.relative_to(root).as_posix(): file.read_bytes() for file in files}
    return {"main.py": main.read_bytes(), "requirements.txt": lock.read_bytes(), **sources}


def modules(function: Function, root: Path = ROOT) -> dict[str, Path]:
    """What the function's main.py can import of `shared` and of its own folder, with the files. Raises ConfigError."""
    finder = ModuleFinder([str(root)], excludes=[name for name, granted in GRANTED.items() if not granted(function)])
    finder.run_script(str(root / "functions" / function.name / "main.py"))
    finder.import_hook(BACKEND)
    files = {name: getattr(module, "__file__", None) for name, module in finder.modules.items() if name != "__main__"}
    found = {name: Path(file) for name, file in files.items() if file}
    for name in found:
        if not re.fullmatch(rf"shared(\..+)?|functions(\.{function.name}(\..+)?)?", name):
            raise ConfigError(f"functions/{function.name}: imports {name}, which is not deployed with it")
    return found


def _zip(content: Mapping[str, bytes]) -> bytes:
    zipped = io.BytesIO()
    with ZipFile(zipped, "w", ZIP_STORED) as archive:
        for name in sorted(content):
            entry = ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _READABLE
            archive.writestr(entry, content[name])
    return zipped.getvalue()


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
