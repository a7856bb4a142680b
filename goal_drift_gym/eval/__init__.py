"""What a run's records say: metrics, limits and verdicts. Never imports the engine. PYTEST_DONT_REWRITE"""
