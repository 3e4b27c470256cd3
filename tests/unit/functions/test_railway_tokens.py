"""Whole runs with project tokens: each environment is deployed with its own, and what it cannot do is said."""

from unit.functions.scene import OLD, STAGING, TARGET, Scene

from local.world.vendors import ENVIRONMENT, PROJECT, REPOSITORY, SERVICE
from shared.core.reasons import Reason
from shared.core.run import Status

WITH_STAGING = STAGING.format(branch="main") + 'railway_token_secret = "RAILWAY-STAGING"'


def two_environments(scene: Scene) -> None:
    """Both are deployed from main, each with its own project token; there is no account token."""
    del scene.secrets["RAILWAY_API"]
    scene.use_project_token("RAILWAY-PRODUCTION")
    scene.hold_project_token("RAILWAY-STAGING", "environment-staging")
    scene.configure(more=WITH_STAGING, commit_field=None)
    scene.railway.add_service(
        project_id=PROJECT,
        environment_id="environment-staging",
        environment_name="staging",
        service_id=SERVICE,
        name="web",
        repository=REPOSITORY,
        serving_commit=OLD,
    )


async def test_a_pull_request_is_deployed_with_a_project_token_alone(scene: Scene) -> None:
    # Given no account token anywhere
    del scene.secrets["RAILWAY_API"]
    scene.use_project_token()

    # When a pull request is merged
    await scene.ship()

    # Then its run ends well
    assert (await scene.the_run()).status is Status.SUCCEEDED
    assert scene.railway.trespasses == []


async def test_a_bad_version_is_taken_back_with_a_project_token_alone(scene: Scene) -> None:
    del scene.secrets["RAILWAY_API"]
    scene.use_project_token()
    scene.railway.plan(SERVICE, health="failing")

    await scene.ship()

    assert (await scene.the_run()).status is Status.ROLLED_BACK
    assert scene.railway.trespasses == []


async def test_each_environment_is_deployed_with_its_own_token(scene: Scene) -> None:
    # Given two environments
    two_environments(scene)

    # When one merge goes to both
    await scene.ship()

    # Then both have it, and no token was used for the other one
    assert [run.status for run in await scene.runs()] == [Status.SUCCEEDED] * 2
    assert {made.service.environment_id for made in scene.railway.created} == {ENVIRONMENT, "environment-staging"}
    assert scene.railway.trespasses == []


async def test_a_token_of_another_environment_is_refused_with_what_it_opens(scene: Scene) -> None:
    # Given the token of staging in the secret of production
    scene.use_project_token()
    scene.hold_project_token("RAILWAY-PRODUCTION", "environment-staging")

    # When a pull request is merged
    await scene.ship()

    # Then nothing is deployed, and the comment says why
    run = await scene.the_run()
    assert (run.status, run.error and run.error.code) == (Status.FAILED, Reason.VENDOR_REFUSED)
    assert scene.railway.created == []
    [said] = scene.comments()
    assert "RAILWAY-PRODUCTION holds a project token, which opens one environment of one project" in said
    assert scene.secrets["RAILWAY_PRODUCTION"] not in said


async def test_what_no_project_token_may_do_is_said_in_the_comment(scene: Scene) -> None:
    # Given a Railway that lets no project token start a deployment of a commit
    scene.use_project_token()
    scene.railway.refused_to_project_tokens.add("serviceInstanceDeployV2")

    # When a pull request is merged
    await scene.ship()

    # Then its run fails, and names the permission
    assert (await scene.the_run()).status is not Status.SUCCEEDED
    [said] = scene.comments()
    assert "Railway does not let a project token use `serviceInstanceDeployV2`" in said


async def test_a_file_of_before_works_with_the_account_token(scene: Scene) -> None:
    assert scene.services.config.target(TARGET) is not None
    scene.railway.token_kind = "account"

    await scene.ship()

    assert (await scene.the_run()).status is Status.SUCCEEDED
