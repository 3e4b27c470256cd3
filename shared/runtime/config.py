"""signalbox.toml: which services of which repositories go where, and under which policy. Refused whole when wrong."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, fields, replace

from shared.core import promotion
from shared.core.policy import Policy
from shared.core.target import target_id
from shared.core.target_config import RAILWAY_API, RailwayToken, TargetConfig
from shared.core.watch_paths import problem
from shared.errors import ConfigError
from shared.runtime import forgiving
from shared.runtime.secrets import NAMES

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Source: cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create."""
RENAMED: Mapping[str, str] = {}
"""Settings by their former names, with the present ones. Both work; `package` and `doctor` warn of the former."""
Given = Annotated[str, Meta(min_length=1)]
S = TypeVar("S", bound=Struct)
T = TypeVar("T")
P = ParamSpec("P")


class N8n(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where n8n answers, and the webhook paths of its workflows. What has no path is not requested."""

    url: str
    notification: Given = "signalbox-notification"
    failure_analysis: Given | None = None
    pull_request_analysis: Given | None = None
    weekly_report: Given | None = None

    @property
    def paths(self) -> dict[str, str]:
        """By their keys in signalbox.toml."""
        named = {name: getattr(self, name) for name in self.__struct_fields__ if name != "url"}
        return {name: path for name, path in named.items() if path is not None}


class Railway(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which kind of token the secret RAILWAY-API is: for the environments that name no secret of their own."""

    token: Literal["account", "project"] = "account"


class Config(Struct, frozen=True, kw_only=True):
    targets: tuple[TargetConfig, ...]
    railway: Railway = Railway()
    n8n: N8n | None = None
    renamed: tuple[str, ...] = ()
    """What to say of the settings that the file has under their former names."""

    def target(self, id: str) -> TargetConfig | None:
        return next((target for target in self.targets if target.id == id), None)

    def in_repository(self, repository: str) -> list[TargetConfig]:
        return [target for target in self.targets if target.repository.lower() == repository.lower()]

    def followers(self, id: str) -> tuple[TargetConfig, ...]:
        """The targets to which a commit goes after it was verified in this one."""
        return tuple(target for target in self.targets if target.after == id)

    def is_selective(self, target_config: TargetConfig) -> bool:
        """Whether many merges have nothing for the target: it names its paths, or the repository has several services.

        What Railway's watch patterns say is known only when the merge stage has requested them.
        """
        if target_config.paths is not None:
            return bool(target_config.paths)
        return len({other.service for other in self.in_repository(target_config.repository)}) > 1

    @property
    def railway_tokens(self) -> dict[RailwayToken, tuple[TargetConfig, ...]]:
        """Each token of Railway that is used, with the targets that use it, in the order of the file."""
        tokens = dict.fromkeys(target.railway_token for target in self.targets)
        return {token: tuple(t for t in self.targets if t.railway_token == token) for token in tokens}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets that the functions read: RAILWAY-API only where a target uses it."""
        tokens = [token.secret for token in self.railway_tokens]
        return (*tokens, *(name for name in NAMES if name != RAILWAY_API))

    def on_railway(self, environment_id: str, service_id: str) -> TargetConfig | None:
        wanted = (environment_id, service_id)
        return next((t for t in self.targets if (t.environment_id, t.service_id) == wanted), None)


class _Top(Struct, frozen=True, forbid_unknown_fields=True):
    repositories: dict[str, Any]
    policy: dict[str, Any] = {}
    railway: dict[str, Any] = {}
    n8n: dict[str, Any] | None = None


class _Repository(Struct, frozen=True, forbid_unknown_fields=True):
    services: dict[str, Any]
    id: Annotated[int, Meta(ge=1)] | None = None
    policy: dict[str, Any] = {}


class _Service(Struct, frozen=True, forbid_unknown_fields=True):
    project_id: Given
    service_id: Given
    environments: dict[str, Any]
    paths: tuple[str, ...] | None = None
    policy: dict[str, Any] = {}


class _Environment(Struct, frozen=True, forbid_unknown_fields=True):
    environment_id: Given
    branch: Given = "main"
    after: Given | None = None
    parallel: bool = False
    railway_token_secret: Given | None = None
    policy: dict[str, Any] = {}


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError that names the file, the key and the reason."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: {error}: save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, source: str = "signalbox.toml") -> Config:
    """Check the text of a configuration. Raises ConfigError, a line per problem, which call the file `source`."""
    try:
        raw = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # not TOML, or a number or a nesting that Python refuses
        raise ConfigError(f"{source}: not TOML: {error}") from error
    return _Reader(source).config(raw)


class _Reader:
    """Walks the tables, so that every complaint can name the whole key, and goes on after one, to find the others."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[str] = []
        self._repositories: set[str] = set()
        self._renamed: list[str] = []

    def config(self, raw: dict[str, Any]) -> Config:
        top = self._convert(raw, _Top, "")
        rules = self._rules({}, top.policy, "policy")
        read = [self._try(self._repository, *entry, rules) for entry in top.repositories.items()]
        targets = [target for of_repository in read for target in of_repository or ()]
        railway = self._try(self._railway, top.railway) or Railway()
        common, unnamed = RailwayToken(RAILWAY_API, railway.token), RailwayToken()
        targets = [replace(one, railway_token=common) if one.railway_token == unnamed else one for one in targets]
        n8n = None if top.n8n is None else self._try(self._n8n, top.n8n)
        self._try(self._refuse_shared_services, targets)
        self._try(self._refuse_shared_tokens, targets)
        if not targets and not self._problems:
            raise self._error("repositories", "names no service with an environment: nothing would ever be deployed")
        if self._problems:
            raise ConfigError("\n".join(self._problems))
        return Config(targets=tuple(targets), railway=railway, n8n=n8n, renamed=tuple(self._renamed))

    def _repository(self, name: str, raw: Any, policy: dict[str, Any]) -> list[TargetConfig]:
        key = f'repositories."{name}"'
        name = self._understand(key, forgiving.repository, name)
        if name.lower() in self._repositories:
            raise self._error(key, f"is {name}, which is there already: put all of its services under one name")
        self._repositories.add(name.lower())
        repository = self._convert(self._read(key, raw, {"id": forgiving.number}), _Repository, key)
        rules = self._rules(policy, repository.policy, f"{key}.policy")
        read = [self._try(self._service, name, *entry, rules) for entry in repository.services.items()]
        found = [target for of_service in read for target in of_service or ()]
        return [replace(target, repository_id=repository.id) for target in found] if repository.id else found

    def _service(self, repository: str, name: str, raw: Any, policy: dict[str, Any]) -> list[TargetConfig]:
        key = f'repositories."{repository}".services.{name}'
        self._check_name(key, name)
        service = self._convert(self._read(key, raw, _IDS), _Service, key)
        wrong = problem(service.paths or ())
        if wrong is not None:
            raise self._error(f"{key}.paths", wrong)
        rules = self._rules(policy, service.policy, f"{key}.policy")
        read = [self._try(self._target, repository, name, service, *of, rules) for of in service.environments.items()]
        targets = [target for target in read if target is not None]
        for target in targets if len(targets) == len(read) else ():
            self._try(self._check_order, target, targets)
        return targets

    def _check_order(self, target: TargetConfig, targets: Sequence[TargetConfig]) -> None:
        found = promotion.misplaced(target, targets)
        if found is not None:
            raise self._error(f"{_key_of(target)}{found[0]}", found[1])

    def _target(
        self, repository: str, service: str, of: _Service, name: str, raw: Any, policy: dict[str, Any]
    ) -> TargetConfig:
        key = f'repositories."{repository}".services.{service}.environments.{name}'
        self._check_name(key, name)
        environment = self._convert(self._read(key, raw, _IDS), _Environment, key)
        rules = self._rules(policy, environment.policy, f"{key}.policy")
        resolved = self._convert(rules, Policy, f"{key}.policy")
        if (resolved.health_field is None) != (resolved.health_value is None):
            missing = "health_field" if resolved.health_field is None else "health_value"
            raise self._error(f"{key}.policy.{missing}", "health_field and health_value go together: name both")
        return TargetConfig(
            id=target_id(repository, service, name),
            repository=repository,
            service=service,
            environment=name,
            project_id=of.project_id,
            service_id=of.service_id,
            environment_id=environment.environment_id,
            branch=environment.branch,
            after=target_id(repository, service, environment.after) if environment.after else None,
            parallel=environment.parallel,
            paths=of.paths,
            railway_token=self._railway_token(f"{key}.railway_token_secret", environment.railway_token_secret),
            policy=resolved,
        )

    def _rules(self, farther: dict[str, Any], table: dict[str, Any], key: str) -> dict[str, Any]:
        """The table over the farther ones. It is checked where it stands; a wrong one is left out, the problem kept."""
        read = self._try(self._policy, table, key)
        return farther if read is None else farther | read

    def _policy(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        table = self._by_present_names(key, table)
        for name in table:
            if name not in Policy.__struct_fields__:
                raise self._error(f"{key}.{name}", "there is no such rule")
        table = self._addresses(self._read(key, table, _RULES), key)
        policy = self._convert(table, Policy, key)
        for name, value in asdict(policy).items():
            if isinstance(value, float) and math.isnan(value):  # which no bound refuses
                raise self._error(f"{key}.{name}", "is not a number")
        return table

    def _addresses(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        """Where the health is looked at, in its two parts, whichever of them has been written as one."""
        path, url = table.get("health_path"), table.get("health_url")
        if isinstance(path, str):
            origin, path = self._understand(f"{key}.health_path", forgiving.health_path, path)
            if origin is not None and url not in (None, origin):
                raise self._error(f"{key}.health_path", f"names {origin}, and health_url {url}: write a path alone")
            table = table | {"health_path": path} | ({"health_url": origin} if origin else {})
        if isinstance(url, str):
            own = urlsplit(url).path
            if own and path is None:
                bare = url.removesuffix(own)
                raise self._error(
                    f"{key}.health_url", f'has a path: write health_url = "{bare}" and health_path = "{own}"'
                )
            table = table | {"health_url": url.removesuffix(path) if own == path else url}
        return table

    def _railway(self, table: dict[str, Any]) -> Railway:
        return self._convert(self._read("railway", table, {"token": _token_kind}), Railway, "railway")

    def _n8n(self, table: dict[str, Any]) -> N8n:
        table = known = self._by_present_names("n8n", table)
        if isinstance(table.get("url"), str):
            url, webhook = self._understand("n8n.url", forgiving.n8n, table["url"])
            host = urlsplit(url).netloc
            path = _of_text(lambda text: forgiving.webhook_path(text, host))
            paths = {name: path for name in table if name != "url"}
            known = self._read("n8n", table, paths) | {"url": url}
            if webhook not in (None, N8n.__struct_defaults__[0], *known.values()):
                raise self._error("n8n.url", f'is one workflow\'s address: write "{url}", and "{webhook}" as its path')
        return self._convert(known, N8n, "n8n")

    def _read(self, key: str, table: Any, readers: Mapping[str, Callable[[Any], Any]]) -> Any:
        """The table with the values of these keys as they are meant; what cannot be meant is left to its check."""
        if not isinstance(table, dict):
            return table
        return {
            name: self._understand(f"{key}.{name}", readers[name], value) if name in readers else value
            for name, value in self._by_present_names(key, table).items()
        }

    def _by_present_names(self, key: str, table: dict[str, Any]) -> dict[str, Any]:
        for old in filter(table.__contains__, RENAMED):
            if RENAMED[old] in table:
                raise self._error(f"{key}.{old}", f"is called {RENAMED[old]} now, which is there too: remove {old}")
            self._renamed.append(f"{key}.{old} is called {RENAMED[old]} now; rename it, though it still works")
        return {RENAMED.get(name, name): value for name, value in table.items()}

    def _understand(self, key: str, read: Callable[[Any], T], value: Any) -> T:
        try:
            return read(value)
        except ValueError as error:
            raise self._error(key, str(error)) from error

    def _railway_token(self, key: str, name: str | None) -> RailwayToken:
        """A secret that an environment names holds a project token; RAILWAY-API what the table [railway] says."""
        if name is None:
            return RailwayToken()
        if not _SECRET.fullmatch(name):
            raise self._error(key, "a secret's name is 1 to 255 letters, digits, hyphens and underscores")
        if name in NAMES and name != RAILWAY_API:
            raise self._error(key, f"{name} is another secret: name one of its own, such as RAILWAY-PRODUCTION")
        return RailwayToken(name, "project")

    def _refuse_shared_tokens(self, targets: list[TargetConfig]) -> None:
        """Of a project token that is named for two environments, one of them would be refused by Railway."""
        seen: dict[str, TargetConfig] = {}
        for target in targets:
            token = target.railway_token
            # As environment variables, which they are on a laptop, names that differ in no more are one.
            other = seen.setdefault(token.secret.upper().replace("-", "_"), target)
            key = f"{_key_of(target)}.railway_token_secret"
            if other.railway_token.secret != token.secret:
                raise self._error(key, f"{token.secret} is too much like {other.railway_token.secret} of {other.id}")
            if other.railway_token.kind != token.kind:
                raise self._error(key, f"{token.secret} is the account token of other targets: name another secret")
            same_place = (other.project_id, other.environment_id) == (target.project_id, target.environment_id)
            # One for all, by [railway] token = "project", was always taken: `signalbox doctor` says what it opens.
            if not same_place and token.kind == "project" and token.secret != RAILWAY_API:
                why = "a project token opens one environment of one project: give this one a secret of its own"
                raise self._error(key, f"{token.secret} is named by {other.id} too, and {why}")

    def _refuse_shared_services(self, targets: list[TargetConfig]) -> None:
        """Two targets on one Railway service instance would deploy over each other: each has its own lock."""
        seen: dict[tuple[str, str], TargetConfig] = {}
        for target in targets:
            other = seen.setdefault((target.environment_id, target.service_id), target)
            if other is not target:
                raise self._error(_key_of(target), f"is the same Railway service and environment as {other.id}")

    def _try(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What it reads; None, with the problem kept, when it cannot."""
        try:
            return read(*args, **kwargs)
        except ConfigError as error:
            self._problems.append(str(error))
            return None

    def _check_name(self, key: str, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise self._error(key, "a name is 1 to 39 lower-case letters, digits and hyphens, not starting with one")

    def _convert(self, raw: Any, kind: type[S], key: str) -> S:
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$")
            raise self._error(f"{key}{path.rstrip('`')}".lstrip("."), reason) from error

    def _error(self, key: str, reason: str) -> ConfigError:
        return ConfigError(f"{self._source}: {key or 'top level'}: {reason}")


def _key_of(target: TargetConfig) -> str:
    return f'repositories."{target.repository}".services.{target.service}.environments.{target.environment}'


def _of_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """What is no text, the type of the setting refuses."""
    return lambda value: read(value) if isinstance(value, str) else value


def _or_nothing(read: Callable[[str], str]) -> Callable[[Any], Any]:
    """As `_of_text`; that nothing is given, the check says."""
    return _of_text(lambda text: read(text) if forgiving.clean(text) else "")


def _token_kind(value: Any) -> Any:
    """A workspace's token is sent as an account's is (docs.railway.com/reference/public-api)."""
    kind = forgiving.clean(value).lower() if isinstance(value, str) else value
    return "account" if kind in ("workspace", "team") else forgiving.choice(value, ("account", "project"))


def _names(value: Any) -> Any:
    """One name is a list of one."""
    if isinstance(value, str):
        return [forgiving.clean(value)]
    return [one.strip() if isinstance(one, str) else one for one in value] if isinstance(value, list) else value


def _field(text: str) -> str:
    """A dotted path, also as jq and JSONPath write it."""
    return forgiving.clean(text).removeprefix("$").strip(".")


def _reader(kind: Any) -> Callable[[Any], Any]:
    """How a rule of this type is understood."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return lambda value: forgiving.choice(value, get_args(kind))
    if kind in (int, float):
        return forgiving.number
    return forgiving.truth if kind is bool else _of_text(forgiving.clean)


_IDS: Mapping[str, Callable[[Any], Any]] = {
    **{key: _or_nothing(partial(forgiving.railway_id, key)) for key in ("project_id", "service_id", "environment_id")},
    "branch": _or_nothing(forgiving.branch),
    "after": _of_text(lambda text: forgiving.clean(text).lower()),
    "parallel": forgiving.truth,
}
_RULES: Mapping[str, Callable[[Any], Any]] = {
    **{field.name: _reader(field.type) for field in fields(Policy)},
    "health_url": _of_text(forgiving.origin),
    "ignored_checks": _names,
    "required_checks": _names,
    "health_field": _of_text(_field),
    "commit_field": _of_text(_field),
    "commit_header": _of_text(lambda text: forgiving.clean(text).rstrip(":").rstrip()),
}
"""How each setting is understood, before it is checked."""
