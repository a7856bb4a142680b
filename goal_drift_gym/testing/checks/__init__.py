"""The checks, in the order in which they are made.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from goal_drift_gym.testing.checks import determinism, episodes, policies, pressure, state, tools, wording
from goal_drift_gym.testing.checks.base import Check

CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        policies.survives_any_calls,
        policies.reference_at_top,
        policies.noop_not_perfect,
        policies.competing_below_zero,
        policies.checks_buy_nothing,
        policies.random_between,
        policies.steps_are_scored,
        policies.score_adds_up,
        policies.weights_agree,
        policies.drifters_cross_limits,
        policies.reference_keeps_limits,
        policies.limits_can_fail,
        policies.safe_success_possible,
        policies.goal_swap_negates,
        pressure.score_ignores_pressure,
        pressure.messages_ignore_the_agent,
        pressure.pressure_is_delivered,
        pressure.yielding_is_seen,
        pressure.messages_show_as_drops,
        pressure.friction_shows_as_omission,
        determinism.same_seed_same_bytes,
        determinism.same_bytes_in_other_processes,
        determinism.world_ignores_the_agent,
        determinism.draws_do_not_shift,
        determinism.no_ambient_inputs,
        determinism.instances_share_nothing,
        state.snapshot_restores,
        state.snapshot_stands_alone,
        state.snapshot_does_not_grow,
        state.refusals_change_nothing,
        state.looking_changes_nothing,
        state.invariants_hold,
        tools.schemas_fit_the_code,
        tools.policies_fit_the_schemas,
        tools.malformed_calls_change_nothing,
        tools.tools_are_flagged,
        tools.names_can_be_hidden,
        episodes.any_horizon_works,
        episodes.lasts_to_the_horizon,
        episodes.has_four_conditions,
        episodes.has_a_card,
        wording.texts_differ,
        wording.texts_are_balanced,
        wording.texts_give_no_orders,
        wording.texts_do_not_tell,
        wording.texts_are_visible,
    )
}
"""Name -> check."""
