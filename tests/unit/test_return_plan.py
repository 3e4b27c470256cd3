"""Where to return to, and whether: on what Railway shows and what was verified."""

import pytest
from unit.building import MERGE, OLD, OLDER, a_deployment, a_run, a_target, a_version, at

from functions.rollback.plan import NothingToDo, Return, plan
from shared.core.outcome import Fail, Wait
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Rollback, Stage

new = a_deployment("d-new", "SUCCESS", commit_sha=MERGE)
new_crashed = a_deployment("d-new", "CRASHED", commit_sha=MERGE)
old = a_deployment("d-old", "SUCCESS", commit_sha=OLD)
old_kept = a_deployment("d-old", "REMOVED", commit_sha=OLD, can_rollback=True)
old_gone = a_deployment("d-old", "REMOVED", commit_sha=OLD)
older_kept = a_deployment("d-older", "REMOVED", commit_sha=OLDER, can_rollback=True)
strange = a_deployment("d-strange", "SUCCESS", commit_sha="9" * 40)
unnamed = a_deployment("d-image", "SUCCESS", commit_sha=None, migrates=True)

both = a_target(verified=(a_version(), a_version("d-older", OLDER)))
nothing_verified = a_target(verified=())


class TestAfterABadDeployment:
    def run(self, **changes):
        return a_run(Stage.ROLLBACK, deployment=Deployment(id="d-new", baseline=("d-old", "d-image")), **changes)

    @pytest.mark.parametrize("active", [(new,), (new_crashed,), ()], ids=["it serves", "it crashed", "nothing serves"])
    @pytest.mark.parametrize(
        ("known", "image"),
        [((new, old_kept), True), ((new, old_gone), False), ((new,), False)],
        ids=["kept", "gone", "unlisted"],
    )
    def test_the_way_leads_to_the_last_verified_version_by_its_image_where_kept(self, active, known, image):
        assert plan(self.run(), both, active, known) == Return(to=a_version(), image=image, replaces=MERGE)

    def test_what_is_just_being_taken_away_is_waited_for(self):
        draining = a_deployment("d-old", "REMOVING", commit_sha=OLD)

        assert isinstance(plan(self.run(), both, (new,), (new, draining)), Wait)

    def test_a_later_deployment_that_nobody_verified_is_not_returned_to(self):
        unverified = a_deployment("d-between", "REMOVED", commit_sha="8" * 40, can_rollback=True)

        assert plan(self.run(), both, (new,), (new, unverified, old_kept)) == Return(
            to=a_version(), image=True, replaces=MERGE
        )

    @pytest.mark.parametrize("active", [(old,), (new_crashed, old), (old, new_crashed)])
    def test_when_the_old_version_serves_there_is_nothing_to_do(self, active):
        assert plan(self.run(), both, active, (new, old)) == NothingToDo(a_version())

    def test_railway_s_own_redeployment_of_the_old_commit_is_the_old_version(self):
        again = a_deployment("d-again", "SUCCESS", commit_sha=OLD)

        assert plan(self.run(), both, (again,), (again, new)) == NothingToDo(a_version("d-again"))

    def test_railway_s_own_redeployment_of_the_bad_commit_is_as_bad(self):
        again = a_deployment("d-again", "SUCCESS", commit_sha=MERGE)

        assert isinstance(plan(self.run(), both, (again,), (again, old_kept)), Return)

    @pytest.mark.parametrize("active", [(new, old), (old, new)], ids=["new first", "old first"])
    def test_while_both_serve_the_new_one_is_taken_back(self, active):
        assert plan(self.run(), both, active, (new, old)) == Return(to=a_version(), image=False, replaces=MERGE)

    @pytest.mark.parametrize("active", [(strange,), (new, strange), (old, strange)])
    def test_somebody_else_s_deployment_is_left_alone(self, active):
        decision = plan(self.run(), both, active, (strange, new, old_kept))

        assert decision == Fail(Reason.DEPLOYMENT_REPLACED, "deployment d-strang of another user is live; left alone")

    def test_somebody_else_s_deployment_that_does_not_serve_does_not_matter(self):
        failed = a_deployment("d-strange", "FAILED")

        assert isinstance(plan(self.run(), both, (failed, new), (failed, new, old_kept)), Return)

    def test_on_a_first_deployment_what_served_before_is_left_serving(self):
        decision = plan(self.run(), nothing_verified, (unnamed,), (new_crashed, unnamed))

        assert decision == NothingToDo(a_version("d-image", "", run_id=None, at=at(0), migrates=True))

    def test_what_appeared_since_a_first_deployment_is_somebody_else_s(self):
        decision = plan(self.run(), nothing_verified, (strange,), (strange, new_crashed))

        assert isinstance(decision, Fail)
        assert decision.code is Reason.DEPLOYMENT_REPLACED

    def test_without_a_deployment_of_its_own_what_serves_is_somebody_else_s(self):
        decision = plan(a_run(Stage.ROLLBACK, deployment=None), nothing_verified, (unnamed,), (unnamed,))

        assert isinstance(decision, Fail)
        assert decision.code is Reason.DEPLOYMENT_REPLACED

    @pytest.mark.parametrize("active", [(), (new,), (new_crashed,)])
    def test_there_is_no_way_back_from_a_first_deployment(self, active):
        decision = plan(self.run(), nothing_verified, active, (new,))

        assert decision == Fail(
            Reason.ROLLBACK_TARGET_MISSING, "no verified deployment of this target is known to return to"
        )


class TestAskedFor:
    def run(self, to_commit: str | None = None):
        way = Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND, to_commit=to_commit)
        return a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK, rollback=way)

    current = a_target(verified=(a_version("d-new", MERGE), a_version(), a_version("d-older", OLDER)))

    def test_the_version_before_the_serving_one(self):
        assert plan(self.run(), self.current, (new,), (new, old_kept)) == Return(
            to=a_version(), image=True, replaces=MERGE
        )

    def test_what_serves_without_having_been_verified_is_taken_back_to_the_last_verified(self):
        assert plan(self.run(), both, (strange,), (strange, old_kept)) == Return(
            to=a_version(), image=True, replaces="9" * 40
        )

    def test_another_deployment_of_the_serving_commit_is_no_version_to_return_to(self):
        twice = a_target(verified=(a_version("d-new", MERGE), a_version("d-new-1", MERGE), a_version()))

        decision = plan(self.run(), twice, (new,), (new, old_kept))

        assert isinstance(decision, Return)
        assert decision.to == a_version()

    def test_a_command_that_waited_for_a_deployment_that_was_taken_back_is_done(self):
        way = Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND, unless=OLD)
        run = a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK, rollback=way)

        assert plan(run, both, (old,), (old, older_kept)) == NothingToDo(a_version())
        assert isinstance(plan(run, self.current, (new,), (new, old_kept)), Return), "it was not taken back"

    def test_a_verified_version_that_crashed_is_not_returned_to(self):
        assert plan(self.run(), self.current, (), (new_crashed, old_kept)) == Return(
            to=a_version(), image=True, replaces=MERGE
        )

    @pytest.mark.parametrize("wanted", [OLDER, OLDER[:7]])
    def test_a_named_commit(self, wanted):
        assert plan(self.run(wanted), self.current, (new,), (new, older_kept)) == Return(
            to=a_version("d-older", OLDER), image=True, replaces=MERGE
        )

    def test_a_named_commit_that_serves(self):
        assert plan(self.run(MERGE[:7]), self.current, (new,), (new,)) == NothingToDo(a_version("d-new", MERGE))

    def test_when_nothing_serves_the_last_verified_version_is_brought_back(self):
        assert plan(self.run(), both, (), (old_kept,)) == Return(to=a_version(), image=True, replaces=None)

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            ("9999999", "9999999 was never verified here; verified are: `2222222`"),
            (None, "no other version than the one that serves was verified; verified are: `2222222`"),
        ],
    )
    def test_nowhere_to_return_to(self, wanted, message):
        alone = a_target(verified=(a_version("d-new", MERGE),))

        assert plan(self.run(wanted), alone, (new,), (new,)) == Fail(Reason.ROLLBACK_TARGET_MISSING, message)
