"""Counts, timings and tables: what is measured of layers, networks and trainings.

What it has is imported from its modules; importing them registers nothing.
"""
