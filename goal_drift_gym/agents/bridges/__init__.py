"""Agents of frameworks: one module a framework, each an extra of its own."""
