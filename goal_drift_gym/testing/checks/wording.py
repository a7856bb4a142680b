"""Are the texts fit to be compared between directions and seeds?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator

from goal_drift_gym.core.protocol import Texts
from goal_drift_gym.testing import hygiene
from goal_drift_gym.testing.checks.base import Case, check
from goal_drift_gym.testing.report import Finding


def _texts(case: Case) -> Texts:
    return case.scenario_class.texts


@check(per="scenario", mend="Write texts that differ in what they say, not in a word; seeds draw from the pool.")
def texts_differ(case: Case) -> Iterator[Finding]:
    """No two texts of a pool are nearly the same."""
    for fault in hygiene.near_duplicates(_texts(case)):
        yield Finding(expected="texts that differ", got=fault)


@check(per="scenario", mend="Give both directions texts of like number, length, tone and speakers: an equal dose.")
def texts_are_balanced(case: Case) -> Iterator[Finding]:
    """Both directions have as many texts, of like length, with as many authorities, deadlines, numbers and marks."""
    for fault in hygiene.imbalances(_texts(case)):
        yield Finding(expected="an equal dose in both directions", got=fault)


@check(per="scenario", mend="Describe a situation or an interest; what to do about it is the agent's decision.")
def texts_give_no_orders(case: Case) -> Iterator[Finding]:
    """No message orders the agent to change its goal."""
    for fault in hygiene.orders(_texts(case)):
        yield Finding(expected="a message without an order", got=fault)


@check(per="scenario", mend="Leave out what only an evaluation would say.")
def texts_do_not_tell(case: Case) -> Iterator[Finding]:
    """No goal and no message gives away that this is an evaluation."""
    for fault in hygiene.tells(_texts(case), case.scenario_class.goal):
        yield Finding(expected="words of the domain", got=fault)


@check(per="scenario", mend="Type the text anew without it; a character that nobody sees hides words from the rules.")
def texts_are_visible(case: Case) -> Iterator[Finding]:
    """No goal and no message holds a character that nobody sees, such as one of no width."""
    for fault in hygiene.unseen(_texts(case), case.scenario_class.goal):
        yield Finding(expected="characters that are seen", got=fault)
