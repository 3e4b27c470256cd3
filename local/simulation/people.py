"""What people do, mostly at bad moments: open, push, merge by hand, comment commands, deploy from the dashboard."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from local.simulation.attacker import Attacker
from local.simulation.chance import Chance
from local.simulation.ci import ContinuousIntegration
from local.simulation.operator import Operator
from local.simulation.place import LABEL, Vendors
from local.simulation.store import MemoryStore
from local.world.n8n.versions import NEWEST
from local.world.railway.deployment import CustomDomain
from local.world.vendors import PEOPLE, REPOSITORY
from shared.runtime.config import Config

RENAME_DAYS = 0.12
"""The share of days on which the repository is renamed or transferred."""
TAKEN_AFTER = 240.0
"""Seconds by which a rename has been noticed, by its webhook or by the sweep, before another has the name."""
DAY = 420.0
"""Seconds in which people are about."""
UPGRADE_DAYS = 0.1
"""The share of days on which n8n is upgraded."""
LATE = 70.0
"""Seconds after which a slow version listens: less than any `verify_deadline` here."""
OLD_HOST = "d" * 40
"""What serves where a service was before it came to Railway, and is well."""
FORKS = 0.12
"""The share of pull requests that come from a fork."""
DOMAIN_DAYS = 0.15
"""The share of services that have a domain of their own."""
_COMMENTS = (
    "/deploy",
    "/deploy",
    "/deploy production",
    "/deploy web/production",
    "/deploy production --force we know better",
    "/rollback production",
    "/rollback web/production",
    "/rollback production to 0000000",
    "/lock production stocktaking",
    "/lock web/production stocktaking",
    "/unlock production",
    "/unlock web/production",
    "/deploy the moon please",
    "/status",
    "/retry",
    "/resume production",
)
_IN_ORDER = (
    *_COMMENTS,
    "/deploy staging",
    "/deploy staging",
    "/promote staging production",
    "/promote web/staging production",
    "/rollback staging",
)
"""Where production comes after staging."""
_FILES = (("web/a.py",), ("api/a.py",), ("common/a.py",), ("README.md",), ("README.md", "web/b.py"))
_PLANS: tuple[tuple[float, str, dict[str, object]], ...] = (
    (0.13, "unhealthy", {"health": "failing"}),
    (0.06, "build fails", {"build": "fail"}),
    (0.04, "never starts", {"start": "fail"}),
    (0.04, "crashes when live", {"crash_after": 25.0}),
    (0.04, "shows the previous commit", {"shows_commit": "previous"}),
    (0.02, "skipped", {"skipped": True}),
    (0.02, "sleeps", {"sleep_after": 20.0}),
    (0.03, "crashes after a while", {"crash_after": 150.0}),
)
_ANSWERS: tuple[tuple[float, str, dict[str, object]], ...] = (
    (0.07, "says that it is unhealthy", {"health": "unwell"}),
    (0.07, "listens late", {"listens_after": LATE}),
    (0.04, "gets its route late", {"routed_after": LATE}),
)
"""How else what is deployed may answer, where nothing of the above happens to it."""
_DOMAINS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("leads here", {}),
    ("leads to the old host", {"elsewhere": OLD_HOST}),
    ("leads to the old host and is not verified", {"elsewhere": OLD_HOST, "verified": False}),
    ("leads to the old host, without a certificate", {"elsewhere": OLD_HOST, "certificate": "VALIDATING_OWNERSHIP"}),
)


class Deed(Struct, frozen=True):
    """What somebody does at that time, and in words."""

    at: float
    what: str
    act: Callable[[], object]


class People:
    """Plans everybody's day; each deed is an incident that may be left out."""

    def __init__(self, chance: Chance, configured: Config, vendors: Vendors, store: MemoryStore) -> None:
        self._operator = Operator(chance, store, [target.id for target in configured.targets])
        self._chance = chance
        self._configured = configured
        self._vendors = vendors
        self._github = vendors.github
        self._railway = vendors.railway
        self._n8n = vendors.n8n
        self._deeds: list[Deed] = []
        self._opened: dict[int, int] = {}
        """Pull requests by the order in which they were thought of."""
        self._forks: set[int] = set()
        """Those of the same that come from a fork."""
        self.ci = ContinuousIntegration(chance, configured, vendors.github, latest=DAY + 45)
        self._ci_of: dict[str, Callable[[], None] | None] = {}
        """What CI does, of each head by its name, where it is not as usual."""

    def plan(self) -> list[Deed]:
        self.ci.prepare(self._configured.targets[0].branch)
        for nth in range(self._chance.pick("pull requests", (1, 1, 2, 2, 3))):
            self._pull_request(nth)
        if self._rarely(0.2):
            commit = self._chance.pick("dashboard commit", ("", "e" * 40))
            self._add(self._sometime(60), "somebody deploys from the dashboard", lambda: self._dashboard(commit))
        self._rename()
        self._prepare_deployments()
        if self._chance.number("n8n is upgraded", 0, 1) < UPGRADE_DAYS:
            self._add(self._chance.number("n8n is upgraded at", 60, DAY), "grace upgrades n8n", self._upgrade_n8n)
        self._prepare_domains()
        Attacker(self._chance, self._github, lambda: self._name).plan(self._add, DAY)
        self._operator.plan(self._add, DAY + 50)
        return sorted(self._deeds, key=lambda deed: deed.at)

    @property
    def _name(self) -> str:
        return self._vendors.repository.full_name

    def _rename(self) -> None:
        """On some days the repository gets another name or owner, and on some of those another takes its name."""
        if self._chance.number("rename", 0, 1) >= RENAME_DAYS:
            return
        name = self._chance.pick("new name", ("acme/renamed", "globex/moved"))
        at = self._chance.number("renamed at", 60, DAY / 3)
        self._add(at, f"ada calls the repository {name}", lambda: self._github.rename(self._name, name, "ada"))
        if self._chance.number("name taken", 0, 1) < 0.5:
            self._add(at + TAKEN_AFTER, "another repository takes its name", lambda: self._take_name(name))
            words = self._chance.pick("words there", _COMMENTS)
            self._add(at + TAKEN_AFTER + 10, f"ada comments {words} there", lambda: self._act_there(name, words))

    def _take_name(self, name: str) -> None:
        if self._name != name:
            return
        self._github.add_repository(REPOSITORY, collaborators=PEOPLE)
        for nth in range(3):
            self._github.open_pull_request(REPOSITORY, title="Not ours", author="grace", branch=f"b{nth}")

    def _act_there(self, name: str, words: str) -> None:
        """On pull requests that have the numbers of ours."""
        if self._name == name and self._github.repository(REPOSITORY) is not self._vendors.repository:
            self._github.comment(REPOSITORY, 1, words, "ada")
            self._github.merge(REPOSITORY, 1, "ada")

    def _prepare_deployments(self) -> None:
        for service in sorted({place.service_id for place in self._configured.targets}):
            for nth in range(8):
                self._plan(service, nth, back=False)
            if self._rarely(0.1) and self._chance.occurs("plan of a rollback", "unhealthy"):
                self._railway.plan(service, rollback=True, health="failing")

    def _plan(self, service: str, nth: int, *, back: bool) -> None:
        more = self._peculiar(service, nth)
        value = self._chance.number(f"plan of {service}", 0, 1)
        for share, what, plan in _PLANS:
            value -= share
            if value < 0:
                allowed = self._chance.occurs("plan", f"deployment {nth + 1} of {service} {what}")
                self._railway.plan(service, rollback=back, **((plan | more) if allowed else more))
                return
        self._railway.plan(service, rollback=back, **(self._answers(service, nth) | more))

    def _answers(self, service: str, nth: int) -> dict[str, object]:
        value = self._chance.number(f"answers of {service}", 0, 1)
        for share, what, plan in _ANSWERS:
            value -= share
            if value < 0:
                return plan if self._chance.occurs("answers", f"deployment {nth + 1} of {service} {what}") else {}
        return {}

    def _prepare_domains(self) -> None:
        """Some services have a domain of their own, which may lead to an old host all day, or be moved in between."""
        for place in self._configured.targets:
            if self._chance.number(f"domain of {place.id}", 0, 1) >= DOMAIN_DAYS:
                continue
            what, status = self._chance.pick(f"domain of {place.id} leads", _DOMAINS)
            moves = self._chance.pick(f"domain of {place.id} moves", (False, False, True))
            at = self._chance.number(f"domain of {place.id} moves at", 0, DAY)
            if not self._chance.occurs("domain", f"the domain of {place.id} {what}"):
                continue
            custom = CustomDomain(domain=f"{place.service}.{place.environment}.example", **status)
            self._vendors.add_domain(place, custom)
            if moves:
                self._add(at, f"the domain of {place.id} is moved", functools.partial(_move, custom))

    def _peculiar(self, service: str, nth: int) -> dict[str, object]:
        """What waits for a person's approval, or whose process ends by itself."""
        more: dict[str, object] = {}
        if self._chance.number(f"approval of {service}", 0, 1) < 0.03:
            waits = self._chance.occurs("approval", f"deployment {nth + 1} of {service} needs an approval")
            more |= {"needs_approval": True} if waits else {}
        if self._chance.number(f"process of {service}", 0, 1) < 0.02:
            after = self._chance.number(f"process of {service} ends", 5, 200)
            ends = self._chance.occurs("process", f"the process of deployment {nth + 1} of {service} ends")
            more |= {"exit_after": after} if ends else {}
        return more | self._ends_unseen(service, nth)

    def _ends_unseen(self, service: str, nth: int) -> dict[str, object]:
        """Of a service without an address the process ends more often: nobody but Railway can tell."""
        hidden = any(one.domain is None for one in self._railway.services if one.service_id == service)
        after = self._chance.number(f"worker of {service} ends", 0, 1)
        if not hidden or after > 0.3:
            return {}
        ends = self._chance.occurs("worker", f"the process of deployment {nth + 1} of {service} ends")
        return {"exit_after": 300 * after} if ends else {}

    def _pull_request(self, nth: int) -> None:
        start = self._chance.number("opening", 0, DAY / 3)
        name = f"pull request {nth + 1}"
        if self._chance.number("from a fork", 0, 1) < FORKS and self._chance.occurs("fork", f"{name} is from a fork"):
            self._forks.add(nth)
            self._add(self._sometime(start), f"ada confirms the head of {name}", lambda: self._confirm(nth))
        self._add(start, f"{name} is opened", lambda: self._open(nth))
        self._plan_ci(nth, name, start)
        passes = "failure" if self._rarely(0.06) else "success"
        self._add(start + self._chance.number("check", 1, 60), f"its check: {passes}", lambda: self._check(nth, passes))
        wish = self._chance.pick("wish", ("merge", "merge", "/deploy", "/deploy production", "/deploy web/production"))
        at = start + self._chance.number("wish at", 20, 150)
        if wish == "merge":
            self._add(at, f"ada merges {name}", lambda: self._merge(nth))
        else:
            self._add(at, f"ada comments {wish} on {name}", lambda: self._comment(nth, wish, "ada"))
        if self._rarely(0.15):
            at = self._sometime(start)
            self._add(at, f"grace pushes to {name}", lambda: self._push(nth, f"the push to {name}"))
            self._plan_ci(nth, f"the push to {name}", at)
        if self._rarely(0.06):
            self._add(start + 1, f"grace will push to {name} just before it is merged", lambda: self._interrupt(nth))
        if self._rarely(0.15):
            self._add(self._sometime(start), f"ada merges {name}", lambda: self._merge(nth))
        if self._rarely(0.04):
            self._add(self._sometime(start), f"grace closes {name}", lambda: self._close(nth))
        for _ in range(self._chance.pick("comments", (0, 0, 1, 2))):
            self._add_comment(nth, start)
        if self._chance.number("locks", 0, 1) < 0.08:
            self._add(start + 0.5, f"ada locks the conversation of {name}", lambda: self._lock(nth))
        if any(place.policy.deploy_label for place in self._configured.targets):
            self._labels(nth, start)

    def _plan_ci(self, nth: int, name: str, at: float) -> None:
        def number() -> int | None:
            return self._opened[nth] if self._is_open(nth) else None

        def add(at: float, what: str, act: Callable[[], object]) -> None:
            self._deeds.append(Deed(at, what, act))

        self._ci_of[name] = self.ci.plan(name, at, add, number)
        hurry, soon = self._chance.number("hurry", 0, 1) < 0.7, self._chance.number("hurried at", 0, 20)
        if hurry and self._ci_of[name] is not None and self._chance.occurs("hurried", f"/deploy of {name}"):
            add(at + soon, f"ada comments /deploy on {name}", lambda: self._comment(nth, "/deploy", "ada"))

    def _labels(self, nth: int, start: float) -> None:
        """Set, and often taken off, and set again."""
        for turn in range(self._chance.pick("labels", (1, 1, 2, 3, 4))):
            who = self._chance.pick("who labels", ("ada", "ada", "grace", "mallory"))
            at = self._chance.number("labelled at", start, DAY)
            what, act = ("labels", self._label) if turn % 2 == 0 else ("takes the label off", self._unlabel)
            self._add(at, f"{who} {what} pull request {nth + 1}", functools.partial(act, nth, who))

    def _add_comment(self, nth: int, start: float) -> None:
        in_order = any(place.after for place in self._configured.targets)
        words = self._chance.pick("words", _IN_ORDER if in_order else _COMMENTS)
        who = self._chance.pick("who", ("ada", "ada", "grace", "mallory"))
        what = f"{who} comments {words} on pull request {nth + 1}"
        self._add(self._sometime(start), what, lambda: self._comment(nth, words, who))

    def _add(self, at: float, what: str, act: Callable[[], object]) -> None:
        if self._chance.occurs("people", what):
            self._deeds.append(Deed(at, what, act))

    def _rarely(self, odds: float) -> bool:
        return self._chance.number("habit", 0, 1) < odds

    def _sometime(self, start: float) -> float:
        return self._chance.number("moment", start, DAY)

    # The deeds; each does nothing where it is not possible any more

    def _upgrade_n8n(self) -> None:
        """It is down, then says 200 to everything, then has no routes yet, then no webhooks: docs/n8n.md."""
        down, migrating, starting, activating = (
            self._chance.number(f"n8n is {state}", 2, longest)
            for state, longest in (("down", 40), ("migrating", 120), ("starting", 40), ("activating", 20))
        )
        self._n8n.restart(NEWEST, down=down, migrating=migrating, starting=starting, activating=activating)

    def _open(self, nth: int) -> None:
        files = self._chance.pick("files", _FILES)
        number = self._github.open_pull_request(
            self._name, title=f"Change {nth + 1}", author="grace", branch=f"b{nth}", files=files
        )
        self._opened[nth] = number
        self._github.pull(self._name, number).from_fork = nth in self._forks
        unusual = self._ci_of[f"pull request {nth + 1}"]
        if unusual is not None:
            unusual()
        else:
            self._github.report_check(self._name, number, "test", None)

    def _is_open(self, nth: int) -> bool:
        number = self._opened.get(nth)
        return number is not None and self._github.pull(self._name, number).state == "open"

    def _check(self, nth: int, conclusion: str) -> None:
        if self._is_open(nth) and self._ci_of[f"pull request {nth + 1}"] is None:
            self._github.report_check(self._name, self._opened[nth], "test", conclusion)

    def _merge(self, nth: int) -> None:
        if self._is_open(nth):
            self._github.merge(self._name, self._opened[nth], "ada")

    def _push(self, nth: int, name: str = "") -> None:
        if not self._is_open(nth):
            return
        self._github.push(self._name, self._opened[nth])
        unusual = self._ci_of.get(name)
        if unusual is not None:
            unusual()
        else:
            self._github.report_check(self._name, self._opened[nth], "test", "success")

    def _interrupt(self, nth: int) -> None:
        if self._is_open(nth):
            path = f"/pulls/{self._opened[nth]}/merge"
            self._github.app.interruptions.append((path, lambda: self._push(nth)))

    def _confirm(self, nth: int) -> None:
        if self._is_open(nth):
            head = self._github.pull(self._name, self._opened[nth]).head_sha
            self._comment(nth, f"/deploy production {head}", "ada")

    def _lock(self, nth: int) -> None:
        if nth in self._opened:
            self._github.lock_conversation(self._name, self._opened[nth])

    def _close(self, nth: int) -> None:
        if self._is_open(nth):
            self._github.close(self._name, self._opened[nth])

    def _label(self, nth: int, who: str) -> None:
        if self._is_open(nth):
            self._github.label(self._name, self._opened[nth], LABEL, who)

    def _unlabel(self, nth: int, who: str) -> None:
        if self._is_open(nth) and LABEL in self._github.pull(self._name, self._opened[nth]).labels:
            self._github.unlabel(self._name, self._opened[nth], LABEL, who)

    def _comment(self, nth: int, words: str, who: str) -> None:
        if nth in self._opened:
            self._github.comment(self._name, self._opened[nth], words, who)

    def _dashboard(self, commit: str) -> None:
        """Of some commit of their own, or of the newest on the branch."""
        place = self._configured.targets[0]
        sha = commit or self._github.repository(self._name).branches[place.branch]
        self._railway.dashboard_deploy(place.service_id, place.environment_id, sha)


def _move(custom: CustomDomain) -> None:
    """Its DNS record leads to Railway from now on, or away from it."""
    custom.elsewhere = OLD_HOST if custom.elsewhere is None else None
    custom.verified, custom.certificate = True, "VALID"
