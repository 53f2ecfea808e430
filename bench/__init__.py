"""The workloads, each beside what a user would pick instead, in turns in one run. `python -m bench` prints the table."""
