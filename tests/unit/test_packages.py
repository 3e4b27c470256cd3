"""Deployment packages: the same bytes from the same source, with what the function needs and nothing else."""

import ast
import hashlib
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import locks
import pytest
from click.testing import CliRunner

from local import topology
from local.cli import main
from local.packaging import packages
from local.packaging.packages import GRANTED, ROOT, Package
from shared.errors import ConfigError
from shared.runtime import config as configuration

FUNCTIONS = topology.load().functions
NAMES = [function.name for function in FUNCTIONS]
of_each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
_EXTRAS = r"\[[a-z,]+\]"
CLIENTS = ("github", "railway", "n8n", "probe")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return {package.function: package for package in packages.build(tmp_path_factory.mktemp("packages"))}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what packages are made of."""
    copy = tmp_path / "elsewhere"
    for folder in ("functions", "shared", "requirements"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "signalbox.toml", copy)
    return copy


@contextmanager
def private_files() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def content(package: Package) -> dict[str, bytes]:
    with zipfile.ZipFile(package.file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def modules(package: Package) -> set[str]:
    """By their names in the repository."""
    sources = (name for name in content(package) if name.endswith(".py") and name != "main.py")
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    return {*names, f"functions.{package.function}.main"}


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert len(re.findall(before, text, re.MULTILINE)) == 1
    path.write_text(re.sub(before, lambda _: after, text, flags=re.MULTILINE))


def test_the_same_source_gives_the_same_bytes(made: dict[str, Package], tree: Path, tmp_path: Path) -> None:
    # Given the sources in another folder, with other times and modes, written in another order
    for number, path in enumerate(sorted(tree.rglob("*"), reverse=True)):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))

    # When packages are made of them by somebody whose files are private
    with private_files():
        again = packages.build(tmp_path / "out", root=tree)

    # Then they are the same
    assert [package.function for package in again] == NAMES
    for package in again:
        assert package.sha256 == made[package.function].sha256
        assert package.file.read_bytes() == made[package.function].file.read_bytes()


def test_a_change_of_source_changes_the_packages_that_hold_it(
    made: dict[str, Package], tree: Path, tmp_path: Path
) -> None:
    edit(tree / "shared" / "runs" / "metrics.py", "\\Z", "# changed\n")
    again = packages.build(tmp_path / "out", root=tree)
    assert [one.function for one in again if one.sha256 != made[one.function].sha256] == ["notify", "console"]


def test_what_is_reported_is_what_was_written(made: dict[str, Package]) -> None:
    for package in made.values():
        written = package.file.read_bytes()
        assert (package.bytes, package.sha256) == (len(written), hashlib.sha256(written).hexdigest())
        assert [path.name for path in package.file.parent.glob(f"{package.function}.*")] == [package.file.name]


@pytest.mark.parametrize("name", NAMES)
def test_entries_say_nothing_about_who_packed_them(made: dict[str, Package], name: str) -> None:
    with zipfile.ZipFile(made[name].file) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    for entry in entries:
        assert not entry.is_dir()
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.create_system == 3
        assert entry.external_attr >> 16 == stat.S_IFREG | 0o644
        assert entry.compress_type == zipfile.ZIP_STORED
        assert entry.extra == b""


@pytest.mark.parametrize("name", NAMES)
def test_a_package_holds_the_function_what_it_shares_and_the_settings(made: dict[str, Package], name: str) -> None:
    held = content(made[name])
    assert held["main.py"] == (ROOT / "functions" / name / "main.py").read_bytes()
    assert held["signalbox.toml"] == (ROOT / "signalbox.toml").read_bytes()
    assert held["requirements.txt"] == (ROOT / "requirements" / "functions" / f"{name}.txt").read_bytes()
    rooms = ("shared/", f"functions/{name}/", "functions/__init__.py")
    others = {path for path in held if not path.startswith(rooms)}
    assert others == {"main.py", "signalbox.toml", "requirements.txt"}
    for path in held.keys() - others:
        assert held[path] == (ROOT / path).read_bytes()
    assert {"shared", "shared.cloud", "shared.runtime.services"} <= modules(made[name])


def test_sources_are_all_that_is_deployed() -> None:
    """Modules are what is packed: a file of another kind beside them would be missing in the cloud."""
    files = [*(ROOT / "shared").rglob("*"), *(ROOT / "functions").glob("*/**/*")]
    assert {path.suffix for path in files if path.is_file() and "__pycache__" not in path.parts} == {".py"}


def test_other_settings_can_be_put_in(made: dict[str, Package], tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text((ROOT / "signalbox.toml").read_text().replace("acme/shop", "acme/mine"))
    [package] = [one for one in packages.build(tmp_path / "out", config=mine) if one.function == "console"]
    assert content(package)["signalbox.toml"] == mine.read_bytes()
    assert package.sha256 != made["console"].sha256


ABSENT = {
    "webhooks": (
        {"shared.clients", "shared.cloud.firestore", "shared.runtime.stage"},
        {"google-cloud-firestore", "google-cloud-core", "httpx", "httpcore", "pyjwt"},
    ),
    "console": (
        {"shared.clients", "shared.cloud.pubsub", "shared.cloud.secrets", "shared.runtime.stage"},
        {"google-cloud-pubsub", "google-cloud-secret-manager", "opentelemetry-sdk", "httpx", "pyjwt"},
    ),
    "dispatch": (
        {"shared.clients.railway.client", "shared.clients.probe", "shared.clients.n8n", "shared.runtime.stage"},
        set(),
    ),
    "merge": ({"shared.clients.probe", "shared.clients.n8n"}, set()),
    "deploy": ({"shared.clients.github.client", "shared.clients.n8n"}, {"pyjwt"}),
    "monitor": ({"shared.clients.github.client", "shared.clients.n8n", "shared.clients.probe"}, {"pyjwt"}),
    "verify": ({"shared.clients.github.client", "shared.clients.n8n"}, {"pyjwt"}),
    "rollback": ({"shared.clients.github.client", "shared.clients.n8n", "shared.clients.probe"}, {"pyjwt"}),
    "notify": ({"shared.clients.railway.client", "shared.clients.probe", "shared.runtime.stage"}, set()),
    "sweep": ({"shared.clients.n8n", "shared.runtime.stage"}, set()),
}
LOCAL_ONLY = {"rich", "pyyaml", "graphql-core", "pygments", "markdown-it-py"}


@pytest.mark.parametrize("name", NAMES)
def test_a_package_holds_nothing_that_the_function_cannot_use(made: dict[str, Package], name: str) -> None:
    absent_modules, absent_requirements = ABSENT[name]
    assert modules(made[name]).isdisjoint(absent_modules)
    assert set(made[name].requirements).isdisjoint(absent_requirements | LOCAL_ONLY)


@of_each_function
def test_a_package_holds_what_the_function_is_granted(made: dict[str, Package], function: topology.Function) -> None:
    """And no source in it asks the services for a client that it does not hold."""
    held = modules(made[function.name])
    assert {module for module, granted in GRANTED.items() if granted(function)} <= held
    asked = {
        f"shared.clients.{node.attr}"
        for path, source in content(made[function.name]).items()
        if path.endswith(".py")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in CLIENTS
        and isinstance(node.value, ast.Name)
        and node.value.id in ("services", "_services")
    }
    assert asked <= held
    assert ("services.store" in _sources(made[function.name])) <= (function.store != "none")
    assert bool(re.search(r"services\.(publish|bus)\b", _sources(made[function.name]))) <= bool(function.publishes)


def _sources(package: Package) -> str:
    return "\n".join(text.decode() for path, text in content(package).items() if path.endswith(".py"))


@of_each_function
def test_a_package_holds_every_module_that_is_imported_in_it(
    made: dict[str, Package], function: topology.Function
) -> None:
    """By grimp's graph; but not what the function is not granted, which is imported inside of functions only."""
    held = modules(made[function.name])
    refused = tuple(f"{module}." for module, granted in GRANTED.items() if not granted(function))
    graph = locks.graph()
    missing = [
        detail
        for importer in held
        for module in graph.find_modules_directly_imported_by(importer)
        if not graph.is_module_squashed(module) and module not in held
        for detail in graph.get_import_details(importer=importer, imported=module)
        if not (f"{module}.".startswith(refused) and _is_inside_a_function(detail))
    ]
    assert missing == []


def _is_inside_a_function(detail: locks.grimp.DetailedImport) -> bool:
    path = ROOT.joinpath(*detail["importer"].split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text().splitlines()[detail["line_number"] - 1].startswith("    ")


@pytest.mark.parametrize("module", GRANTED)
def test_what_is_granted_is_imported_when_it_is_used(module: str) -> None:
    importers = ("shared.runtime.services", "shared.cloud")
    later = set().union(*map(locks.graph().find_modules_directly_imported_by, importers))
    assert any(one == module or one.startswith(f"{module}.") for one in later)


@of_each_function
def test_the_lock_of_a_function_covers_what_is_imported_in_its_package(
    made: dict[str, Package], function: topology.Function
) -> None:
    package = made[function.name]
    imported = {locks.provider(module) for module in locks.imported(modules(package))}
    assert imported <= set(package.requirements)
    text = content(package)["requirements.txt"].decode()
    assert text == locks.lock(function), "an import or requirements/run.txt has changed: `make function-locks`"


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_pinned_with_hashes_as_in_the_lock(made: dict[str, Package], name: str) -> None:
    text = content(made[name])["requirements.txt"].decode()
    requirements = re.split(r"\n(?=\S)", text.rstrip("\n"))
    lock = re.sub(r"\[[a-z,]+\]==", "==", (ROOT / "requirements" / "run.txt").read_text())
    for requirement in requirements:
        pin = r"[a-z0-9-]+(\[[a-z,]+\])?==\S+( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\\n|$))+$"
        assert re.match(pin, requirement)
        assert f"{re.sub(_EXTRAS, '', requirement, count=1)}\n" in lock
    pinned = [requirement.partition("==")[0] for requirement in requirements]
    assert tuple(one for one in pinned if "[" not in one) == made[name].requirements
    # With the extras that somebody asks for, and without: an old pip takes neither for the other.
    assert {re.sub(_EXTRAS, "", one) for one in pinned if "[" in one} <= set(made[name].requirements)
    assert list(made[name].requirements) == sorted(made[name].requirements)
    assert {"functions-framework", "uvloop", "httptools", "msgspec", "starlette", "grpcio"} <= {
        *made[name].requirements
    }


def test_the_markers_of_the_lock_are_kept(made: dict[str, Package]) -> None:
    assert "\ncffi==" in content(made["merge"])["requirements.txt"].decode()
    assert "; platform_python_implementation != 'PyPy' \\" in content(made["merge"])["requirements.txt"].decode()


@pytest.mark.parametrize("line", ["from local import bus", "def f():\n    from functions.merge import main"])
def test_a_function_that_needs_what_is_never_deployed_is_refused(tree: Path, line: str) -> None:
    (tree / "local").mkdir()
    for name in ("__init__", "bus"):
        (tree / "local" / f"{name}.py").touch()
    edit(tree / "functions" / "console" / "main.py", "^import msgspec$", f"import msgspec\n{line}")
    with pytest.raises(ConfigError, match=r"functions/console: imports (local|functions\.merge), which is not"):
        packages.build(tree / "out", root=tree)


def test_modules_are_found_through_others_and_with_their_packages(tree: Path) -> None:
    # Given a chain of modules with a circle, an attribute that looks like a module, and a module nobody imports
    new = {"a/__init__": "from shared.d import THING", "a/b": "", "d": "def use():\n    import shared.a, shared.late"}
    for name, text in {**new, "late": "THING = 1", "never": ""}.items():
        (tree / "shared" / name).parent.mkdir(exist_ok=True)
        (tree / "shared" / f"{name}.py").write_text(text)
    [console] = [function for function in FUNCTIONS if function.name == "console"]
    before = packages.modules(console, tree)

    edit(tree / "functions" / "console" / "main.py", "^import msgspec$", "import msgspec\nfrom shared.a import b, c")

    found = packages.modules(console, tree)
    assert found.keys() - before.keys() == {"shared.a", "shared.a.b", "shared.d", "shared.late"}
    assert found["shared.a"] == tree / "shared" / "a" / "__init__.py"


@pytest.mark.parametrize("file", ["functions/merge/main.py", "requirements/functions/merge.txt"])
def test_a_function_without_its_files_is_refused(tree: Path, file: str) -> None:
    (tree / file).unlink()
    with pytest.raises(ConfigError, match=rf"{file}: there is no such file, but topology\.yaml has a function merge"):
        packages.build(tree / "out", root=tree)


def test_settings_that_no_function_would_start_with_are_refused(tree: Path) -> None:
    (tree / "signalbox.toml").write_text("nonsense = 1\n")
    with pytest.raises(ConfigError, match=r"signalbox\.toml"):
        packages.build(tree / "out", root=tree)


# Railway's tokens

SERVICE = """
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"
"""
PRODUCTION = 'environments.production = { environment_id = "e1"%s }\n'
STAGING = 'environments.staging = { environment_id = "e2", branch = "next"%s }\n'
OF_PRODUCTION, OF_STAGING = (
    ', railway_token_secret = "RAILWAY-PRODUCTION"',
    ', railway_token_secret = "RAILWAY-STAGING"',
)
ONE_FOR_ALL = '[railway]\ntoken = "project"\n'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (SERVICE + PRODUCTION % "", ["RAILWAY-API"]),
        (ONE_FOR_ALL + SERVICE + PRODUCTION % "", ["RAILWAY-API"]),
        (SERVICE + STAGING % OF_STAGING + PRODUCTION % OF_PRODUCTION, ["RAILWAY-PRODUCTION", "RAILWAY-STAGING"]),
        (SERVICE + PRODUCTION % "" + STAGING % OF_STAGING, ["RAILWAY-API", "RAILWAY-STAGING"]),
    ],
)
def test_terraform_is_told_beside_the_packages_which_tokens_there_are(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    (tmp_path / "own.toml").write_text(text)
    packages.build(tmp_path / "out", config=tmp_path / "own.toml")
    assert json.loads((tmp_path / "out" / "secrets.json").read_text()) == {"railway": names}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVICE + PRODUCTION % "", ["RAILWAY-API, for acme:shop:web:production, is an account or workspace token"]),
        (
            SERVICE + PRODUCTION % OF_PRODUCTION + STAGING % "",
            ["RAILWAY-API, for acme:shop:web:staging, is an account or workspace token"],
        ),
        (
            ONE_FOR_ALL + SERVICE + PRODUCTION % "" + STAGING % "",
            [
                "RAILWAY-API, for acme:shop:web:production, acme:shop:web:staging, is one project token, "
                "and they are 2 environments. Give the secret a version"
            ],
        ),
        (ONE_FOR_ALL + SERVICE + PRODUCTION % "", []),
        (SERVICE + PRODUCTION % OF_PRODUCTION + STAGING % OF_STAGING, []),
    ],
)
def test_a_token_wider_than_its_targets_is_warned_of(tmp_path: Path, text: str, told: list[str]) -> None:
    (tmp_path / "own.toml").write_text(text)
    words = ["package", "--out", str(tmp_path / "out"), "--config", str(tmp_path / "own.toml"), "--json"]

    shown = CliRunner().invoke(main, words)

    assert shown.exit_code == 0
    assert [one["function"] for one in json.loads(shown.stdout)] == NAMES
    lines = shown.stderr.splitlines()
    assert len(lines) == len(told)
    assert all(
        line.startswith(f"warning: {tmp_path / 'own.toml'}: {one}") for line, one in zip(lines, told, strict=True)
    )
    assert all("docs/configuration.md has the commands" in line for line in lines if "account" in line)


def test_a_renamed_setting_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "RENAMED", {"soak": "bake"})
    own = tmp_path / "own.toml"
    own.write_text(SERVICE + PRODUCTION % OF_PRODUCTION + "policy.soak = 5\n")
    shown = CliRunner().invoke(main, ["package", "--out", str(tmp_path / "out"), "--config", str(own)])
    told = 'repositories."acme/shop".services.web.policy.soak is called bake now; rename it, though it still works'
    assert (shown.exit_code, shown.stderr) == (0, f"warning: {own}: {told}\n")


def test_the_files_that_one_begins_with_are_not_warned_of(tmp_path: Path) -> None:
    for file in ("signalbox.toml", "terraform/examples/signalbox.toml"):
        shown = CliRunner().invoke(main, ["package", "--out", str(tmp_path), "--config", str(ROOT / file)])
        assert (shown.exit_code, shown.stderr) == (0, "")
