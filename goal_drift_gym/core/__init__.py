"""Engine, shapers, run directories. PYTEST_DONT_REWRITE"""
