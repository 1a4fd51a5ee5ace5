"""An attack on the command line, as tables: whatever is thrown at it ends in one line or in work.

A module for each kind; a case is a row: how its folder is made, the command, and what it may come
to. `python -m tests.attack` runs them all in processes of their own; `test_short.py` runs some.
"""
