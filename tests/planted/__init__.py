"""The twenty bugs of the usual lists and some found since, each planted as it happens in real
life, and each of which must be caught.

`defect.py` says what a planted bug is. consensus.py, service.py, coordination.py, upgrades.py,
programs.py and strangers.py have those that the simulator catches, processes.py those that show
only on real processes. `python -m tests.planted` prints how long each one took.
"""
