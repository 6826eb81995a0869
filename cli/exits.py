"""How a verb ends: the exit codes, the same for all verbs, and the error for a command that has to change."""

from __future__ import annotations

COMPLETE = 0
INCOMPLETE = 2
"""Interrupted or unfinished: the same command resumes."""
FAILED = 3
"""Something has to be repaired first."""
USAGE = 64
"""The command or the config is wrong."""


class BadInput(ValueError):
    """An argument, option or file named in the command cannot be used; the message gives the fix."""
