"""Goal drift as a test. PYTEST_DONT_REWRITE"""
