"""Scenarios: the built-in ones, and how others are found. PYTEST_DONT_REWRITE"""
