"""What each role may do in each relation, and what a relation takes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serving.access.caller import Caller, Role, stranger
from serving.access.policy import KEY_ROLES, TABLE, Action, may
from serving.access.relations import SCOPES, Relation, Share, Ties, relations

NOW = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)
HEALTH = {
    "patient.list",
    "patient.read",
    "patient.change",
    "patient.export",
    "observations.write",
    "observations.withdraw",
    "observations.read",
    "belief.read",
    "forecast.ask",
    "forecast.read",
    "scenario.ask",
    "tonight.read",
    "panel.read",
    "panel.export",
    "page.read",
    "report.read",
    "follow_up.read",
    "follow_up.acknowledge",
    "follow_up.comment",
    "follow_up.assign",
    "follow_up.snooze",
    "follow_up.tag",
    "comparison.keep",
    "comparison.read",
    "comparison.drop",
}
"""Actions that show, or change, the health data of somebody known."""
SEEN_IN = {
    Relation.READ: {
        "patient.read",
        "observations.read",
        "belief.read",
        "forecast.read",
        "comparison.read",
    },
    Relation.WRITE: {
        "patient.change",
        "observations.write",
        "observations.withdraw",
        "job.start",
        "job.read",
    },
    Relation.FORECAST: {"forecast.ask", "scenario.ask"},
}
"""What each scope of a share is for."""
LIST = {"patient.list", "twin.forecast", "twin.scenario", "model.read"}
"""What caregivers may do without a share: questions with a history of their own, for one."""


def _caller(*roles, **more):
    return Caller("ada", "token", frozenset(roles), **more)


def _allowed(role, relation):
    return {str(action) for action in Action if may(_caller(role), action, relation)}


def test_the_table_decides_every_action_for_every_role():
    assert set(TABLE) == set(Action)
    assert {len(row) for row in TABLE.values()} == {len(Role)}
    cells = {cell for row in TABLE.values() for cell in row}
    assert cells <= {None, *Relation}
    for action, role, relation in product(Action, Role, Relation):
        assert may(_caller(role), action, relation) in (True, False)


def test_every_action_is_somebodys():
    for action in Action:
        assert any(may(_caller(*Role), action, relation) for relation in Relation), action


@pytest.mark.parametrize("caller", [stranger("203.0.113.7"), _caller()])
def test_without_a_role_nothing_is_allowed(caller):
    assert not any(may(caller, action, relation) for action, relation in product(Action, Relation))


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_engineers_and_admins_see_no_health_data(role):
    for relation in Relation:
        assert not _allowed(role, relation) & HEALTH


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_no_relation_helps_engineers_and_admins(role):
    assert {frozenset(_allowed(role, relation)) for relation in Relation} == {
        frozenset(_allowed(role, Relation.NONE))
    }


@pytest.mark.parametrize("role", [Role.CAREGIVER, Role.APP])
@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_each_scope_gives_only_its_own(role, scope):
    without = _allowed(role, Relation.NONE)
    assert without == (LIST | {"patient.create"} if role is Role.APP else LIST)
    assert _allowed(role, scope) - without == SEEN_IN[scope]


@pytest.mark.parametrize("role", Role)
def test_only_patients_own_and_only_clinicians_have_clinics(role):
    without = _allowed(role, Relation.NONE)
    if role is not Role.PATIENT:
        assert _allowed(role, Relation.OWN) == without
    if role is not Role.CLINICIAN:
        assert _allowed(role, Relation.CLINIC) == without
    if role not in (Role.CAREGIVER, Role.APP):
        assert all(_allowed(role, scope) == without for scope in SCOPES)


def test_nobody_but_the_patient_exports_consents_or_shares():
    for action, role, relation in product(Action, Role, Relation):
        if action in ("patient.export", "consent.give", "share.give", "share.revoke"):
            assert may(_caller(role), action, relation) == (
                role is Role.PATIENT and relation is Relation.OWN
            )


def test_only_the_clinic_s_clinicians_see_its_pages():
    kinds = ("panel.", "page.", "report.", "follow_up.")
    of_pages = {action for action in Action if action.startswith(kinds)}
    assert len(of_pages) == 10
    for action, role, relation in product(of_pages, Role, Relation):
        expected = role is Role.CLINICIAN and relation is Relation.CLINIC
        assert may(_caller(role), action, relation) == expected


def test_keys_made_by_admins_open_nobodys_data_without_a_share():
    untied = {action for role in KEY_ROLES for action in _allowed(role, Relation.NONE)}
    assert untied & (HEALTH | {"research.export"}) == {"patient.list"}  # of those tied to it


@given(
    roles=st.frozensets(st.sampled_from(Role)),
    more=st.sampled_from(Role),
    action=st.sampled_from(Action),
    relation=st.sampled_from(Relation),
)
def test_a_further_role_never_takes_away(roles, more, action, relation):
    if may(_caller(*roles), action, relation):
        assert may(_caller(*roles, more), action, relation)


@given(
    roles=st.frozensets(st.sampled_from(Role)),
    action=st.sampled_from(Action),
    relation=st.sampled_from(Relation),
)
def test_roles_together_give_what_they_give_apart(roles, action, relation):
    apart = any(may(_caller(role), action, relation) for role in roles)
    assert may(_caller(*roles), action, relation) == apart


_shares = st.builds(
    Share,
    subject=st.sampled_from(["ada", "bo"]),
    scopes=st.frozensets(st.sampled_from(Relation)),
    begin=st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours)),
    end=st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours)),
    revoked=st.booleans(),
)
_ties = st.builds(
    Ties,
    patient=st.sampled_from(["p", "q"]),
    clinics=st.frozensets(st.sampled_from(["north", "south"])),
    shares=st.lists(_shares, max_size=3).map(tuple),
    care=st.booleans(),
    sharing=st.booleans(),
)
_callers = st.builds(
    Caller,
    subject=st.sampled_from(["ada", "bo"]),
    kind=st.just("token"),
    clinics=st.frozensets(st.sampled_from(["north", "south"])),
    patients=st.frozensets(st.sampled_from(["p", "q"])),
)
SHARE = Share("ada", SCOPES, NOW - timedelta(hours=1), NOW + timedelta(hours=1))


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_share_gives_its_scopes_while_it_lasts(scope):
    share = replace(SHARE, scopes=frozenset({scope}))
    ties = Ties("p", shares=(share,), sharing=True)
    found = {
        moment: relations(_caller(), ties, moment)
        for moment in (share.begin - timedelta(seconds=1), share.begin, NOW, share.end)
    }
    assert list(found.values()) == [set(), {scope}, {scope}, set()]


@pytest.mark.parametrize(
    "ties",
    [
        Ties("p", shares=(replace(SHARE, revoked=True),), sharing=True),
        Ties("p", shares=(replace(SHARE, begin=NOW, end=NOW),), sharing=True),
        Ties("p", shares=(replace(SHARE, subject="bo"),), sharing=True),
        Ties("p", shares=(replace(SHARE, subject="Ada"),), sharing=True),
        Ties("p", shares=(SHARE,), sharing=False, care=True),
        Ties("p", shares=(replace(SHARE, scopes=frozenset({Relation.OWN})),), sharing=True),
        Ties("p", clinics=frozenset({"north"}), sharing=True),
        Ties("p", clinics=frozenset({"south"}), care=True),
        Ties("p", care=True, sharing=True),
        Ties("p"),
    ],
    ids=[
        "revoked",
        "empty",
        "another's",
        "nearly",
        "no consent to sharing",
        "not a scope",
        "no consent to care",
        "another clinic",
        "neither clinic nor share",
        "unknown",
    ],
)
def test_what_is_no_tie(ties):
    caller = _caller(*Role, clinics=frozenset({"north"}), patients=frozenset({"other"}))
    assert relations(caller, ties, NOW) == set()


@given(_callers, _ties)
def test_ties_of_all_kinds_add_up(caller, ties):
    live = [
        share
        for share in ties.shares
        if share.subject == caller.subject and not share.revoked and share.begin <= NOW < share.end
    ]
    found = relations(caller, ties, NOW)
    assert (Relation.OWN in found) == (ties.patient in caller.patients)
    assert (Relation.CLINIC in found) == (ties.care and bool(ties.clinics & caller.clinics))
    for scope in SCOPES:
        assert (scope in found) == (ties.sharing and any(scope in share.scopes for share in live))
    assert Relation.NONE not in found


@given(_callers, _ties, _shares)
def test_ended_and_revoked_shares_change_nothing(caller, ties, share):
    assume(share.revoked or share.end <= NOW)
    more = replace(ties, shares=(*ties.shares, share))
    assert relations(caller, more, NOW) == relations(caller, ties, NOW)
