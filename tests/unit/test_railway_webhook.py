"""Railway's webhooks: the secret is all the proof there is, and what nobody listens to is never refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.webhooks.railway import normalise, sent_with
from shared.core.events import DeploymentChanged
from shared.errors import BadInput

SECRET = "a-long-shared-secret"


def a_body(type="Deployment.failed", **changes) -> bytes:
    """As in Railway's documentation, whose example pairs a failure with the status SUCCESS."""
    resource = {
        "workspace": {"id": "w", "name": "acme"},
        "project": {"id": "p", "name": "shop"},
        "environment": {"id": "e", "name": "production", "isEphemeral": False},
        "service": {"id": "s", "name": "web"},
        "deployment": {"id": "8107edff-4b8e-44fc-b43a-04566e847a2a"},
    }
    payload = {
        "type": type,
        "details": {"id": "8107edff-4b8e-44fc-b43a-04566e847a2a", "source": "GitHub", "status": "SUCCESS"},
        "resource": {key: value for key, value in (resource | changes).items() if value is not ...},
        "severity": "WARNING",
        "timestamp": "2025-11-21T23:48:42.311Z",
    }
    return json.dumps(payload).encode()


class TestSentWith:
    @pytest.mark.parametrize(
        ("header", "authorization"), [(SECRET, ""), ("", f"Bearer {SECRET}"), ("", SECRET), (SECRET, "Bearer other")]
    )
    def test_the_secret_comes_in_either_header(self, header, authorization):
        assert sent_with([SECRET], header, authorization)

    @pytest.mark.parametrize(
        ("header", "authorization"),
        [
            ("", ""),
            ("other", ""),
            (SECRET[:-1], ""),
            (SECRET + "x", ""),
            (SECRET.upper(), ""),
            ("", "Bearer"),
            ("", "Bearer "),
            ("", f"Basic {SECRET}"),
            ("gehe\xefm", ""),
            ("", "Bearer gehe\xefm"),
        ],
    )
    def test_nothing_else_will_do(self, header, authorization):
        assert not sent_with([SECRET], header, authorization)

    def test_during_a_rotation_both_secrets_do(self):
        assert sent_with(["new", "old"], "old", "")
        assert sent_with(["new", "old"], "new", "")

    @pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
    @pytest.mark.parametrize("header", ["", SECRET])
    def test_without_a_secret_everything_is_refused(self, secrets, header):
        assert not sent_with(secrets, header, "")


class TestNormalise:
    @pytest.mark.parametrize(
        ("type", "event"),
        [
            ("Deployment.deployed", "deployment.deployed"),
            ("Deployment.redeployed", "deployment.redeployed"),
            ("Deployment.failed", "deployment.failed"),
            ("Deployment.crashed", "deployment.crashed"),
            ("Deployment.removed", "deployment.removed"),
            ("Deployment.oom_killed", "deployment.oomkilled"),
            ("Deployment.OomKilled", "deployment.oomkilled"),
            ("Deployment.oomKilled", "deployment.oomkilled"),
            ("Deployment.needs_approval", "deployment.needsapproval"),
        ],
    )
    def test_what_can_end_a_wait_is_told_in_any_casing(self, type, event):
        assert normalise(a_body(type)) == DeploymentChanged(
            environment_id="e", service_id="s", deployment_id="8107edff-4b8e-44fc-b43a-04566e847a2a", event=event
        )

    @pytest.mark.parametrize(
        "body",
        [
            a_body("Deployment.building"),
            a_body("Deployment.queued"),
            a_body("Deployment.slept"),
            a_body("VolumeAlert.triggered", service=..., deployment=...),
            a_body("Monitor.triggered", service=None),
            b'{"type":"Monitor.deleted","resource":null}',
            b'{"type":"DEPLOY","status":"SUCCESS","deployment":{"id":"d"}}',
            b'{"type":""}',
        ],
    )
    def test_what_nobody_listens_to_is_passed_over_whatever_its_shape(self, body):
        assert normalise(body) is None

    @pytest.mark.parametrize("lacking", ["environment", "service", "deployment"])
    @pytest.mark.parametrize(("value", "path"), [(..., ""), (None, ""), ({}, ".id"), ({"id": 7}, ".id")])
    def test_the_missing_or_wrong_field_is_named(self, lacking, value, path):
        with pytest.raises(BadInput) as caught:
            normalise(a_body(**{lacking: value}))

        assert caught.value.field == f"resource.{lacking}{path}"
        assert f"resource.{lacking}{path}" in str(caught.value)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"{}", "type"),
            (b'{"type":7}', "type"),
            (b"[]", ""),
            (b"", ""),
            (b"nonsense", ""),
            (b'{"type":"Deployment.failed"}', "resource.environment"),
            (b'{"type":"Deployment.failed","resource":[]}', "resource"),
            (b'{"details":' + b"[" * 100_000, ""),
        ],
    )
    def test_an_unusable_body(self, body, field):
        with pytest.raises(BadInput) as caught:
            normalise(body)

        assert caught.value.field == field

    @given(st.binary())
    def test_junk_is_bad_input(self, body):
        with pytest.raises(BadInput):
            normalise(body)
