"""Agents: reference agents with known behaviour, and adapters for real ones. PYTEST_DONT_REWRITE"""
