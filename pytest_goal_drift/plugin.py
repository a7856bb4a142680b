"""The hooks. Nothing else is loaded, and nothing is written, in a project without drift tests.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_goal_drift.fixtures import drift_agent, drift_episode, drift_run, drift_runs, drift_scenario, drift_seed
from pytest_goal_drift.keys import CONTROLLER, EXPECTED, NOT_RUN, PLAN, SERVICES

__all__ = ["drift_agent", "drift_episode", "drift_run", "drift_runs", "drift_scenario", "drift_seed"]

_FIXTURES = frozenset(__all__)
_MARKERS = ("drift_threshold", "drift_scenario", "drift_twin")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini settings."""
    from pytest_goal_drift.options import add_options

    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks others may implement."""
    from pytest_goal_drift import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and what collects results where there will be any."""
    from pytest_goal_drift.options import MARKERS, in_use

    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if in_use(config):
        from pytest_goal_drift.services import services_of

        services = services_of(config)
        if services.settings.resume and not hasattr(config, "workerinput"):
            _ = services.session  # Refused at once where there is nothing to go on with.
        side_by_side = services.side_by_side
        if side_by_side is not None:
            config.pluginmanager.register(side_by_side, "goal_drift_side_by_side")
    if _dry_run(config):
        from pytest_goal_drift.dry_run import in_this_process

        in_this_process(config)
        return
    if hasattr(config, "workerinput") or config.getoption("collectonly", False):
        return
    from pytest_goal_drift.controller import Controller

    config.stash[CONTROLLER] = Controller(config)
    config.pluginmanager.register(config.stash[CONTROLLER], "goal_drift_controller")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the session's file."""
    services = config.stash.get(SERVICES, None)
    if services is not None:
        services.close()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say how drift tests will run, to those who asked."""
    from pytest_goal_drift.options import flag_given

    if config.get_verbosity() <= 0 and not flag_given(config):
        return None
    from pytest_goal_drift.services import services_of
    from pytest_goal_drift.terminal import header

    return header(services_of(config).settings)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item a seed."""
    if "drift_seed" in metafunc.fixturenames:
        from pytest_goal_drift.plan import generate_seeds
        from pytest_goal_drift.services import services_of

        generate_seeds(metafunc, services_of(metafunc.config).settings.seeds)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Learn which seeds belong together before any is deselected, and check the markers of those that are left."""
    if not any(_concerned(item) for item in items):
        yield
        return
    from pytest_goal_drift.plan import early_looks_first, own_seeds_by_group, plan_items
    from pytest_goal_drift.services import services_of

    workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
    try:
        own_seeds = own_seeds_by_group(items)
        yield
        services = services_of(config)
        groups = plan_items(items, own_seeds, services)
        if services.settings.looks is not None:
            early_looks_first(items)
    except pytest.UsageError as error:
        if workeroutput is None:
            raise
        # Raised in a worker it would reach nobody; all workers find the same, so none has anything to run.
        workeroutput["goal_drift_error"] = str(error)
        items.clear()
        return
    if workeroutput is not None:
        workeroutput["goal_drift"] = {name: group.to_wire() for name, group in groups.items()}
    else:
        if CONTROLLER in config.stash:
            config.stash[CONTROLLER].take_local_plan(groups)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run nothing in a dry run."""
    if not _dry_run(session.config) or session.testsfailed or session.config.getoption("collectonly", False):
        return None
    from pytest_goal_drift.dry_run import report

    session.config.stash[EXPECTED] = report(session.items, session.config)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start a drift test afresh."""
    if _planned(item):
        from pytest_goal_drift.worker import begin

        begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Judge a test that ran all seeds, after its body has passed."""
    yield
    if _planned(item) and "drift_runs" in getattr(item, "fixturenames", ()):
        from pytest_goal_drift.worker import judge_item

        judge_item(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what the controller needs to the reports of drift tests."""
    report = yield
    if _planned(item):
        from pytest_goal_drift.worker import finish_report

        finish_report(item, call, report)
    if NOT_RUN in item.stash:
        from pytest_goal_drift.budgeting import tell_not_run

        tell_not_run(item, report)
    if _planned(item) and (report.longrepr is not None or report.sections or report.user_properties):
        from pytest_goal_drift.secrets import hide_secrets

        hide_secrets(report)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table of drift tests, or what they are expected to spend."""
    from pytest_goal_drift.options import bodies_left_out

    if EXPECTED in config.stash:
        terminalreporter.section("goal drift: dry run")
        for line in config.stash[EXPECTED]:
            terminalreporter.line(line)
    controller = config.stash.get(CONTROLLER, None)
    if controller is None:
        return
    if controller.states and bodies_left_out(config) and config.get_verbosity() > -2:
        terminalreporter.line("goal drift: no verdict was given, because no test's body was run")
    if controller.rows:
        from pytest_goal_drift.step_summary import tell_github

        for line in tell_github(controller.rows):
            terminalreporter.line(line)
    if controller.spending.lines and config.get_verbosity() > -2:
        terminalreporter.section("goal drift budget")
        for line in controller.spending.lines:
            terminalreporter.line(line)
    if not controller.rows or config.get_verbosity() < 0:
        return
    from pytest_goal_drift.terminal import table

    terminalreporter.section("goal drift")
    for shown in table(controller.rows):
        terminalreporter.write(shown.before)
        terminalreporter.write(shown.word, **({shown.colour: True} if shown.colour else {}))
        terminalreporter.line(shown.after)
    for line in controller.totals:
        terminalreporter.line(line)


def _dry_run(config: pytest.Config) -> bool:
    return bool(config.getoption("drift_dry_run") or config.getini("drift_dry_run"))


def _concerned(item: pytest.Item) -> bool:
    return not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) or any(
        item.get_closest_marker(name) is not None for name in _MARKERS
    )


def _planned(item: pytest.Item) -> bool:
    return PLAN in item.stash


@pytest.hookimpl(trylast=True)
def pytest_drift_verdict(group: Any) -> Any:
    """Decide by our own rule where nobody else did."""
    from pytest_goal_drift.rule import statistical

    return statistical(group)
