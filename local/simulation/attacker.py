"""What somebody does who knows GitHub's webhook secret, comments, and has a pull request from a fork.

They may do nothing in the repository, so nothing that they do may have an effect but to be seen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta

from local.simulation.chance import Chance
from local.simulation.place import LABEL
from local.world.github import events
from local.world.github.model import Comment, PullRequest
from local.world.github.payloads import user
from local.world.github.server import GitHubWorld

ATTACK_DAYS = 0.15
"""The share of days on which somebody tries."""
STRANGER = "mallory"
MOMENTS = 4
_WORDS = ("/deploy", "/deploy production", "/rollback production", "/lock production mine", "/unlock production")

Add = Callable[[float, str, Callable[[], object]], None]


class Attacker:
    def __init__(self, chance: Chance, github: GitHubWorld, name: Callable[[], str]) -> None:
        self._chance = chance
        self._github = github
        self._name = name

    def plan(self, add: Add, latest: float) -> None:
        if self._chance.number("attack", 0, 1) >= ATTACK_DAYS:
            return
        for nth in range(MOMENTS):
            at = self._chance.number("attacked at", 20, latest)
            what = self._chance.pick("attack by", tuple(self._means))
            words = self._chance.pick("attack says", _WORDS)
            add(at, f"mallory's attempt {nth + 1}: {what}, {words}", functools.partial(self._try, what, words))

    @property
    def _means(self) -> dict[str, Callable[[PullRequest, str], object]]:
        return {
            "a forged comment": self._forge_comment,
            "a forged text of another's comment": self._forge_text,
            "an edited comment": self._edit,
            "a forged merge": self._forge_merge,
            "a forged label": self._forge_label,
            "a comment": self._comment,
            "a push": self._push,
            "a title": self._name_it,
        }

    def _try(self, what: str, words: str) -> None:
        pulls = self._github.repository(self._name()).pulls.values()
        pull = next((pull for pull in pulls if pull.state == "open"), None)
        if pull is not None:
            self._means[what](pull, words)

    def _comment(self, pull: PullRequest, words: str, by: str = STRANGER) -> Comment:
        id = self._github.comment(self._name(), pull.number, words, by)
        return self._github.repository(self._name()).comments[id]

    def _forge_comment(self, pull: PullRequest, words: str) -> None:
        """Of a comment that the stranger wrote, as if another had."""
        self._send(words, self._comment(pull, words))

    def _forge_text(self, pull: PullRequest, words: str) -> None:
        """Of a comment that another wrote, as if it were a command."""
        self._send(words, self._comment(pull, "nice weather", "ada"))

    def _edit(self, pull: PullRequest, words: str) -> None:
        """A comment that becomes a command: GitHub shows that it was edited."""
        said = self._comment(pull, "nice weather", "ada")
        said.created_at -= timedelta(seconds=60)
        self._github.edit_comment(self._name(), said.id, words, "ada")
        self._send(words, said)

    def _send(self, words: str, said: Comment) -> None:
        repository = self._github.repository(self._name())
        true = events.comment_event(repository, said, self._github.own_app)
        forged = true | {"comment": true["comment"] | {"user": user("ada"), "body": words}}
        self._github.webhooks.enqueue("issue_comment", forged, repository, "ada")

    def _forge_merge(self, pull: PullRequest, _: str) -> None:
        repository = self._github.repository(self._name())
        true = events.pull_request_event("closed", repository, pull)
        forged = true | {"pull_request": true["pull_request"] | {"merged": True, "state": "closed"}}
        self._github.webhooks.enqueue("pull_request", forged, repository, "ada")

    def _forge_label(self, pull: PullRequest, _: str) -> None:
        repository = self._github.repository(self._name())
        self._github.webhooks.enqueue(
            "pull_request", events.label_event("labeled", repository, pull, LABEL), repository, "ada"
        )

    def _push(self, pull: PullRequest, _: str) -> None:
        """To their own fork, at a bad moment; to a branch of the repository they may not."""
        if pull.from_fork:
            self._github.push(self._name(), pull.number)

    def _name_it(self, pull: PullRequest, words: str) -> None:
        pull.title = f"{words} <!-- signalbox:reply:1000001 --> @ada"
