"""What one episode spends, counted against the limits of a budget while it is spent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from goal_drift_gym.core.budget import MEASURES, SCOPES, Budget, LimitReached, Reached
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.prices import Price, price_of
from goal_drift_gym.core.session_spending import AGENT, Report, SessionSpending, Spent, spending_in
from goal_drift_gym.core.turn import Usage

_NONE = Budget(limits={})
_BEYOND_CALLS = SCOPES[1:]
"""A call that begins has spent nothing itself, whatever the one before it did."""


class Account:
    """Takes every report of usage in one episode, the agent's and those of adversaries and judges.

    A report of a call without tokens and cost is taken for its beginning: it is refused where a limit is spent, and is
    not counted then. Every other report is of something that has happened. It is always counted, and may show that a
    limit has been passed.

    Parameters
    ----------
    budget
        The limits; None: nothing is limited.
    model, price
        Name of the agent's model, where reports do not name one, and its price, where the budget has none.

    Raises
    ------
    UsageError
        If the session is limited and the budget does not say where it counts.
    """

    def __init__(self, budget: Budget | None = None, *, model: str | None = None, price: Price | None = None) -> None:
        self.budget = _NONE if budget is None else budget
        self.usage = Usage()
        """What the agent reported."""
        self.others: dict[str, Usage] = {}
        """What others reported, by role: `adversary`, `judge`, ..."""
        self.reached: Reached | None = None
        """The first limit that was reached."""
        self._model = model
        self._price = price
        self._limits = {scope: self.budget.of_scope(scope) for scope in SCOPES}
        self._session = _session_of(self.budget)
        self._spent = {scope: Spent() for scope in SCOPES}
        # Without limits no clock is asked: an episode is a function of its inputs.
        self._began = dict.fromkeys(SCOPES, time.monotonic() if self.budget.limits else 0.0)
        if self.budget.began is not None:
            self._began["session"] = self.budget.began
        self._open_calls = 0
        # Guards all of the above: an agent may report from several threads.
        self._lock = threading.Lock()

    @property
    def limits_time(self) -> bool:
        """Whether a limit of time is set."""
        return any("seconds" in limits for limits in self._limits.values())

    def begin_turn(self) -> Reached | None:
        """Start the accounts of a step; return the limit because of which it must not begin."""
        if not self.budget.limits:
            return None
        with self._lock:
            self._spent["step"] = Spent()
            self._start_call()
            self._began["step"] = self._began["call"]
            return self._check(_BEYOND_CALLS, spent_is_enough=True)

    def end_turn(self) -> None:
        """Find calls that were begun and whose cost nobody reported, where money is limited."""
        with self._lock:
            if self._open_calls and self.reached is None and self._money_key() is not None:
                self._no_price("calls were reported without tokens or cost")
            self._open_calls = 0

    def add(self, *, role: str = AGENT, model: str | None = None, **report: Any) -> None:
        """Take a report, with the numbers that `Usage.add` takes.

        Raises
        ------
        ValueError
            If a number is negative or the cost is not finite.
        LimitReached
            If a limit is reached and the agent reports: it must stop. Others see it by `reached`.
        """
        read, wrote = int(report.get("input_tokens", 0)), int(report.get("output_tokens", 0))
        calls, cost = int(report.get("calls", 0)), report.get("cost")
        begins = calls > 0 and read + wrote == 0 and cost is None
        with self._lock:
            if not (calls or read or wrote or cost is not None):
                # A remark on a call: it ends none, and a call whose cost nobody told stays one.
                (self.usage if role == AGENT else self.others.setdefault(role, Usage())).add(**report)
                self._count(role, Spent(unpriced=int(report.get("unmetered_calls", 0))))
                return
            if begins and self.budget.limits:
                self._check(_BEYOND_CALLS, spent_is_enough=True)
                self._stop(role)
            usage = self.usage if role == AGENT else self.others.setdefault(role, Usage())
            named = model or (self._model if role == AGENT else None)
            if cost is None and read + wrote:
                price = self._price_of(named, role)
                cost = None if price is None else price.of(read, wrote)
            usage.add(**{**report, "cost": cost})
            has_no_price = bool(read + wrote) and cost is None
            usage.unpriced += has_no_price
            if not self.budget.limits and self._session is None:
                return
            known = cost is not None
            spent = Spent(
                tokens=read + wrote, calls=calls, money=cost or 0.0, priced=int(known), unpriced=int(has_no_price)
            )
            self._count(role, spent)
            self._follow_call(role, spent, begins=begins)
            if has_no_price:
                self._no_price(f"the price of {'the model' if named is None else repr(named)} is not known")
            self._check(SCOPES, spent_is_enough=False)
            if not begins:
                self._began["call"] = time.monotonic()
            self._stop(role)

    def left_s(self) -> float | None:
        """Return the seconds until the first limit of time is reached; None where no time is limited."""
        now = time.monotonic()
        ends = [self._began[scope] + limits["seconds"] for scope, limits in self._limits.items() if "seconds" in limits]
        return min(ends) - now if ends else None

    def out_of_time(self) -> Reached | None:
        """Return the limit that is reached, now that nobody waits any longer."""
        with self._lock:
            return self._check(SCOPES, spent_is_enough=True, measures=("seconds",))

    def to_meta(self) -> dict[str, Any]:
        """Return what meta.json holds of the budget and of what others than the agent spent."""
        found: dict[str, Any] = {}
        if self.others:
            found["usage_of_others"] = {role: msgspec.to_builtins(usage) for role, usage in self.others.items()}
        if self.budget.limits:
            reached = self.reached
            found["budget"] = {
                "limits": self.budget.limits,
                "reached": None if reached is None else reached.key,
                "said": "" if reached is None else str(reached),
            }
        return found

    def _count(self, role: str, spent: Spent) -> None:
        self._spent["step"].add(spent)
        self._spent["episode"].add(spent)
        if self._session is not None:
            self._session.add(Report(role=role, **msgspec.structs.asdict(spent)))

    def _stop(self, role: str) -> None:
        if self.reached is not None and role == AGENT:
            raise LimitReached(str(self.reached))

    def _start_call(self) -> None:
        self._spent["call"] = Spent()
        self._began["call"] = time.monotonic()

    def _follow_call(self, role: str, spent: Spent, *, begins: bool) -> None:
        """Begin a call, or end it with what it took; several whole calls are taken for calls of one size."""
        if begins:
            self._start_call()
            self._open_calls += spent.calls if role == AGENT else 0
            return
        share = max(spent.calls, 1)
        self._spent["call"] = Spent(tokens=-(-spent.tokens // share), money=spent.money / share)
        self._open_calls = 0 if role == AGENT else self._open_calls

    def _check(
        self, scopes: tuple[str, ...], *, spent_is_enough: bool, measures: tuple[str, ...] = MEASURES
    ) -> Reached | None:
        """Remember the first limit that is passed, or spent where that is enough."""
        now = time.monotonic()
        for scope in scopes if self.reached is None else ():
            spent: Spent | None = None
            for measure, limit in self._limits[scope].items():
                if measure not in measures:
                    continue
                if measure == "seconds":
                    amount = now - self._began[scope]
                else:
                    spent = spent or self._spent_by(scope)
                    amount = getattr(spent, measure)
                if amount > limit or (spent_is_enough and amount == limit):
                    self.reached = Reached(key=f"{scope}.{measure}", limit=limit)
        return self.reached

    def _spent_by(self, scope: str) -> Spent:
        return self._session.total() if scope == "session" and self._session is not None else self._spent[scope]

    def _price_of(self, model: str | None, role: str) -> Price | None:
        stated = self._price if role == AGENT and model == self._model else None
        return stated if model is None else self.budget.prices.get(model, stated)

    def _money_key(self) -> str | None:
        return next((f"{scope}.money" for scope, limits in self._limits.items() if "money" in limits), None)

    def _no_price(self, why: str) -> None:
        key = self._money_key()
        if key is not None and self.reached is None:
            self.reached = Reached(key=key, limit=self.budget.limits[key], why=why)


def account_of(agent: Any, budget: Budget | None) -> Account:
    """Return the account of an agent's episode; it may state its `model` and its `price`.

    Raises
    ------
    UsageError
        If it states something else, or the budget limits a session and does not say where that counts.
    """
    model = getattr(agent, "model", None)
    named = model if isinstance(model, str) else None
    return Account(budget, model=named, price=price_of(getattr(agent, "price", None)))


def limit_told(meta: Mapping[str, Any] | None, scope: str = "") -> str:
    """Return what meta.json says of the limit that ended a run, if it is of this scope; empty where none did."""
    told = (meta or {}).get("budget") or {}
    return str(told.get("said", "")) if str(told.get("reached")).startswith(scope) else ""


def _session_of(budget: Budget) -> SessionSpending | None:
    if budget.directory is not None:
        return spending_in(budget.directory)
    if budget.of_scope("session"):
        raise UsageError(f"the budget {budget} limits a session, and does not say where it counts; use Budget.shared")
    return None
