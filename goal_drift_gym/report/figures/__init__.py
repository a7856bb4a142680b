"""Charts of runs: what is drawn of one, and of several. PYTEST_DONT_REWRITE"""
