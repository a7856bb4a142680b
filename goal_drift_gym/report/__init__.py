"""What people look at: charts, pages and summaries, made of run directories alone.

PYTEST_DONT_REWRITE
"""
