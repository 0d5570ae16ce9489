"""Who may do what: one table, and nothing that is not in it is allowed."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from serving.access.caller import Caller, Role
from serving.access.relations import Relation


class Action(StrEnum):
    """Everything that the service does for somebody."""

    PATIENT_CREATE = "patient.create"
    PATIENT_LIST = "patient.list"
    PATIENT_READ = "patient.read"
    PATIENT_CHANGE = "patient.change"
    PATIENT_EXPORT = "patient.export"
    PATIENT_ERASE = "patient.erase"
    OBSERVATIONS_WRITE = "observations.write"
    OBSERVATIONS_WITHDRAW = "observations.withdraw"
    OBSERVATIONS_READ = "observations.read"
    BELIEF_READ = "belief.read"
    FORECAST_ASK = "forecast.ask"
    FORECAST_READ = "forecast.read"
    SCENARIO_ASK = "scenario.ask"
    CONSENT_GIVE = "consent.give"
    CONSENT_WITHDRAW = "consent.withdraw"
    CONSENT_READ = "consent.read"
    SHARE_GIVE = "share.give"
    SHARE_REVOKE = "share.revoke"
    SHARE_READ = "share.read"
    JOB_START = "job.start"
    JOB_READ = "job.read"
    TONIGHT_READ = "tonight.read"
    PANEL_READ = "panel.read"
    PANEL_EXPORT = "panel.export"
    PAGE_READ = "page.read"
    REPORT_READ = "report.read"
    FOLLOW_UP_READ = "follow_up.read"
    FOLLOW_UP_ACKNOWLEDGE = "follow_up.acknowledge"
    FOLLOW_UP_COMMENT = "follow_up.comment"
    FOLLOW_UP_ASSIGN = "follow_up.assign"
    FOLLOW_UP_SNOOZE = "follow_up.snooze"
    FOLLOW_UP_TAG = "follow_up.tag"
    COMPARISON_KEEP = "comparison.keep"
    COMPARISON_READ = "comparison.read"
    COMPARISON_DROP = "comparison.drop"
    TWIN_FORECAST = "twin.forecast"
    TWIN_SCENARIO = "twin.scenario"
    MODEL_READ = "model.read"
    RESEARCH_EXPORT = "research.export"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"
    KEY_CREATE = "key.create"
    KEY_READ = "key.read"
    KEY_REVOKE = "key.revoke"


_ROLES: Final = (
    Role.PATIENT,
    Role.CAREGIVER,
    Role.APP,
    Role.CLINICIAN,
    Role.ENGINEER,
    Role.ADMIN,
)
_NO: Final = None  # never
_ANY: Final = Relation.NONE  # the role suffices
_OWN, _CLINIC = Relation.OWN, Relation.CLINIC
_READ, _WRITE, _ASK = Relation.READ, Relation.WRITE, Relation.FORECAST

# The relation that each role needs. A patient's list, and a job's or a share's reader, see only
# what they are tied to. Audit entries and jobs carry no health data; a research export carries no
# identified person; the twin.* questions bring their own history.
# fmt: off
TABLE: Final[Mapping[Action, tuple[Relation | None, ...]]] = MappingProxyType({
    #                              patient caregiver  app     clinician engineer admin
    Action.PATIENT_CREATE:        (_OWN,    _NO,     _ANY,    _CLINIC,   _NO,    _NO),
    Action.PATIENT_LIST:          (_ANY,    _ANY,    _ANY,    _ANY,      _NO,    _NO),
    Action.PATIENT_READ:          (_OWN,    _READ,   _READ,   _CLINIC,   _NO,    _NO),
    Action.PATIENT_CHANGE:        (_OWN,    _WRITE,  _WRITE,  _CLINIC,   _NO,    _NO),
    Action.PATIENT_EXPORT:        (_OWN,    _NO,     _NO,     _NO,       _NO,    _NO),
    Action.PATIENT_ERASE:         (_OWN,    _NO,     _NO,     _NO,       _NO,    _ANY),
    Action.OBSERVATIONS_WRITE:    (_OWN,    _WRITE,  _WRITE,  _CLINIC,   _NO,    _NO),
    Action.OBSERVATIONS_WITHDRAW: (_OWN,    _WRITE,  _WRITE,  _CLINIC,   _NO,    _NO),
    Action.OBSERVATIONS_READ:     (_OWN,    _READ,   _READ,   _CLINIC,   _NO,    _NO),
    Action.BELIEF_READ:           (_OWN,    _READ,   _READ,   _CLINIC,   _NO,    _NO),
    Action.FORECAST_ASK:          (_OWN,    _ASK,    _ASK,    _CLINIC,   _NO,    _NO),
    Action.FORECAST_READ:         (_OWN,    _READ,   _READ,   _CLINIC,   _NO,    _NO),
    Action.SCENARIO_ASK:          (_OWN,    _ASK,    _ASK,    _CLINIC,   _NO,    _NO),
    Action.CONSENT_GIVE:          (_OWN,    _NO,     _NO,     _NO,       _NO,    _NO),
    Action.CONSENT_WITHDRAW:      (_OWN,    _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.CONSENT_READ:          (_OWN,    _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.SHARE_GIVE:            (_OWN,    _NO,     _NO,     _NO,       _NO,    _NO),
    Action.SHARE_REVOKE:          (_OWN,    _NO,     _NO,     _NO,       _NO,    _NO),
    Action.SHARE_READ:            (_OWN,    _NO,     _NO,     _NO,       _NO,    _NO),
    Action.JOB_START:             (_OWN,    _WRITE,  _WRITE,  _CLINIC,   _NO,    _NO),
    Action.JOB_READ:              (_OWN,    _WRITE,  _WRITE,  _CLINIC,   _NO,    _NO),
    Action.TONIGHT_READ:          (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.PANEL_READ:            (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.PANEL_EXPORT:          (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.PAGE_READ:             (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.REPORT_READ:           (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_READ:        (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_ACKNOWLEDGE: (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_COMMENT:     (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_ASSIGN:      (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_SNOOZE:      (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.FOLLOW_UP_TAG:         (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.COMPARISON_KEEP:       (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.COMPARISON_READ:       (_OWN,    _READ,   _READ,   _CLINIC,   _NO,    _NO),
    Action.COMPARISON_DROP:       (_NO,     _NO,     _NO,     _CLINIC,   _NO,    _NO),
    Action.TWIN_FORECAST:         (_ANY,    _ANY,    _ANY,    _ANY,      _ANY,   _NO),
    Action.TWIN_SCENARIO:         (_ANY,    _ANY,    _ANY,    _ANY,      _ANY,   _NO),
    Action.MODEL_READ:            (_ANY,    _ANY,    _ANY,    _ANY,      _ANY,   _ANY),
    Action.RESEARCH_EXPORT:       (_NO,     _NO,     _NO,     _NO,       _ANY,   _NO),
    Action.AUDIT_READ:            (_OWN,    _NO,     _NO,     _NO,       _NO,    _ANY),
    Action.AUDIT_VERIFY:          (_NO,     _NO,     _NO,     _NO,       _NO,    _ANY),
    Action.KEY_CREATE:            (_NO,     _NO,     _NO,     _NO,       _NO,    _ANY),
    Action.KEY_READ:              (_NO,     _NO,     _NO,     _NO,       _NO,    _ANY),
    Action.KEY_REVOKE:            (_NO,     _NO,     _NO,     _NO,       _NO,    _ANY),
})
# fmt: on

KEY_ROLES: Final = frozenset({Role.APP, Role.ADMIN})
"""What a key may be that is made over HTTP: nobody gets by it what an admin has not.

An app's key opens nothing before a patient shares with it. Keys that open more are made on the
machine itself, by who holds the master key and could open everything anyway.
"""


def may(caller: Caller, action: Action, relation: Relation) -> bool:
    """Whether the caller may do it to somebody (or a clinic) to whom they have this relation."""
    return any(
        role in caller.roles and needed in (relation, _ANY)
        for role, needed in zip(_ROLES, TABLE[action], strict=True)
    )
