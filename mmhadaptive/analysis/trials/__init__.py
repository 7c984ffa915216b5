"""Trials of what a training survives: kills, disks, bad data, losses without end, bad files.

Each trial is a function of a :class:`~mmhadaptive.analysis.trials.bench.Bench`, which starts the
tools as a user does, each in a process of its own with a time limit. It returns what it saw, or
raises a :class:`~mmhadaptive.analysis.trials.bench.TrialError`.
"""
