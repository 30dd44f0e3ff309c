"""Traces: spans of agents, models and tools, in the conventions that instrumentations use."""
