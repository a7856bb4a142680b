"""The `goal-drift` command, one module a subcommand. PYTEST_DONT_REWRITE"""
