"""Deployment packages: one zip per function, with what it needs and nothing else; the same bytes from the same source.

Nothing is compressed: what a compressor writes depends on its version, and these are small.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import msgspec
from msgspec import Struct

from local import topology
from local.emulation.folder import make_folder
from local.packaging import requirements
from local.packaging.imports import reach
from local.packaging.requirements import Lock
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
BACKEND = Settings().signalbox_backend.partition(":")[0]
"""Named in a setting instead of imported."""

GRANTED: Mapping[str, Callable[[Function], bool]] = MappingProxyType(
    {
        "shared.cloud.firestore": lambda function: function.store != "none",
        "shared.cloud.pubsub": lambda function: bool(function.publishes),
        "shared.cloud.secrets": lambda function: bool(function.secrets),
        "shared.clients.github.client": lambda function: GITHUB_APP_PRIVATE_KEY in function.secrets,
        "shared.clients.railway.client": lambda function: RAILWAY_API in function.secrets,
        "shared.runs.repositories": lambda function: GITHUB_APP_PRIVATE_KEY in function.secrets,
        "shared.clients.n8n": lambda function: N8N_API in function.secrets,
        "shared.clients.google_keys": lambda function: function.is_called,
        # Needs no grant: whoever probes imports shared.runs.health_check, and that the probe.
        "shared.clients.probe": lambda _: False,
    }
)
"""Which modules, imported only when first used, a function may use by topology.yaml. The others it gets if it can
reach them; and these too, when it imports them outright."""

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
    lock = Lock(root / requirements.PATH)
    packages = []
    make_folder(out)
    tokens = sorted({token.secret for token in configured.railway_tokens})
    _write(out / SECRETS, msgspec.json.format(msgspec.json.encode({"railway": tokens})) + b"\n")
    for function in functions:
        pins, content = _content(function, root, lock)
        zipped = _zip({**content, CONFIG: settings.read_bytes()})
        file = out / f"{function.name}.zip"
        _write(file, zipped)
        names = tuple(pin.name for pin in pins)
        packages.append(Package(function.name, file, len(zipped), hashlib.sha256(zipped).hexdigest(), names))
    return packages


def _content(function: Function, root: Path, lock: Lock) -> tuple[list[requirements.Pin], dict[str, bytes]]:
    main = root / "functions" / function.name / "main.py"
    if not main.is_file():
        raise ConfigError(f"{main}: there is no such file, but topology.yaml has a function {function.name}")
    reached = reach(main, root, also=(BACKEND,), follow=lambda module: _may_use(function, module))
    pins = lock.closure({*requirements.ALWAYS, *lock.providers(reached.external)})
    sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in reached.modules.values()}
    needs = "".join(pin.lines for pin in pins).encode()
    return pins, {"main.py": main.read_bytes(), "requirements.txt": needs, **sources}


def _may_use(function: Function, module: str) -> bool:
    granted = GRANTED.get(module)
    return granted is None or granted(function)


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
