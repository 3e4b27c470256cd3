"""What must hold, whatever happens: each a small question with its answer, asked at every step it can be about.

A question yields what is wrong, in words; nothing when all is well.
"""

from local.simulation.invariants.documents import commit
from local.simulation.invariants.health import (
    losses_of_health_are_noticed,
    what_fails_on_probation_is_rolled_back,
)
from local.simulation.invariants.outside import call, deployment, line, merge, message, notification
from local.simulation.invariants.railway import called
from local.simulation.invariants.rest import (
    after_replay,
    at_rest,
    effects,
    in_time,
    labels_are_answered,
    merges_are_deployed,
    missed_webhooks_are_requested,
    renames_are_followed,
    silences_are_reported,
    what_a_hold_keeps_back_is_listed,
    what_is_recorded_serves,
)

__all__ = [
    "after_replay",
    "at_rest",
    "call",
    "called",
    "commit",
    "deployment",
    "effects",
    "in_time",
    "labels_are_answered",
    "line",
    "losses_of_health_are_noticed",
    "merge",
    "merges_are_deployed",
    "message",
    "missed_webhooks_are_requested",
    "notification",
    "renames_are_followed",
    "silences_are_reported",
    "what_a_hold_keeps_back_is_listed",
    "what_fails_on_probation_is_rolled_back",
    "what_is_recorded_serves",
]
