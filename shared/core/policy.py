"""The rules a target is deployed under: the part of signalbox.toml that the pipeline reads."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

DAY = 86400
Seconds = Annotated[float, Meta(ge=0, le=DAY)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=DAY)]
LookSeconds = Annotated[float, Meta(gt=0, le=60)]
"""A function takes several looks while it is called once."""
PatientSeconds = Annotated[float, Meta(gt=0, le=30 * DAY)]
"""For what waits for people."""
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
"""RFC 9110 §5.6.2."""
LabelName = Annotated[str, Meta(min_length=1, max_length=50)]
"""GitHub has no longer ones."""
Count = Annotated[int, Meta(ge=1)]


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target's rules, with the defaults used where signalbox.toml is silent. Durations are in seconds."""

    automatic: bool = True
    """Deploy every pull request merged into `branch`; False leaves it to the /deploy command."""
    deploy_label: LabelName | None = None
    """A label that asks for a pull request's deployment, as the /deploy command does, for as long as it is there."""
    merge_method: Literal["merge", "squash", "rebase"] = "squash"
    ignored_checks: tuple[str, ...] = ()
    """Names of checks whose result does not matter to the merge, or of Apps whose check suites do not."""
    required_checks: tuple[str, ...] = ()
    """Names of checks that have to be there and to pass before we merge. With them nothing is left to guess, so that
    `settle` does not apply."""
    settle: Seconds = 60.0
    """How long a head has to be known to GitHub before its checks count as complete; 0 takes them as they are."""
    update_branch: bool = False
    """Bring a branch up to date with its base where the base's rules ask for that, before it is merged."""
    auto_deploy: Literal["off", "adopt"] = "off"
    """`adopt`: Railway itself deploys each push, so wait `adopt_wait` for its deployment before making one."""
    adopt_wait: Seconds = 60.0

    health_path: str = "/health"
    health_timeout: LookSeconds = 10.0
    health_url: str | None = None
    """Where to probe when not at the service's Railway domain: scheme and host, without a path."""
    health_field: Annotated[str, Meta(min_length=1)] | None = None
    """Dotted path of a field of the JSON health answer that alone says whether the service is healthy."""
    health_value: str | bool | int | float | None = None
    """The value that `health_field` has, exactly, when it is."""
    commit_field: str | None = None
    """Dotted path of the commit in the JSON health answer, such as `build.commit`."""
    commit_header: HeaderName | None = None
    """Name of the response header that holds the commit."""
    failure_threshold: Count = 3
    """Consecutive failed checks before a service counts as unhealthy. An application that does not listen yet has
    `verify_deadline` for that."""
    bake: Seconds = 300.0
    """How long the new deployment must stay healthy before the run succeeds."""

    merge_deadline: PatientSeconds = 1800.0
    deploy_deadline: PositiveSeconds = 600.0
    monitor_deadline: PositiveSeconds = 900.0
    approval_deadline: PatientSeconds = 604800.0
    """How long a deployment may wait on Railway for a person's approval, for CI, or for paused builds to go on."""
    verify_deadline: PositiveSeconds = 300.0
    rollback_deadline: PositiveSeconds = 600.0
    queue_deadline: PatientSeconds = 86400.0
    poll: PositiveSeconds = 60.0
    """How soon to look again when no webhook comes first."""
    max_attempts: Count = 10
    """Claims of one stage without progress before the run fails."""
    refusal_patience: PositiveSeconds = 300.0
    """How long a vendor's refusal must last before it counts; until then the stage waits and asks again."""

    show_log: Literal["comment", "console", "off"] | None = None
    """Where the end of a failed deployment's log is shown; None: in the comment, unless the repository is public."""
    rollback: Literal["automatic", "off"] = "automatic"
    watch: bool = True
    """Check each minute the health of what is live; False leaves the service alone between deployments."""
    probation: Seconds = 0.0
    """How long after its verification a version that loses its health is still rolled back; 0 only tells."""
    promotion: Literal["automatic", "command"] = "automatic"
    """Of an environment with `after`: whether a commit that was verified there follows by itself, or by /promote."""
    promote_after: Annotated[float, Meta(ge=0, le=30 * DAY)] = 0.0
    """How long a commit has to have been verified in the environment before, until it may be deployed here."""
    hold_after_rollbacks: Annotated[int, Meta(ge=0)] = 1
    """Rollbacks in a row after which nothing is deployed automatically until a user asks; 0 never holds."""

    def log_shown(self, *, public: bool) -> Literal["comment", "console", "off"]:
        """Where, for a pull request of a repository that everybody can read, or not."""
        return self.show_log or ("console" if public else "comment")
