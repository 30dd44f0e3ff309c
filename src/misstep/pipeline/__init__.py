"""The only place that knows the order of the rooms.

Nothing is imported here: a worker that reads logs must not load what mines, trains and evaluates.
"""
