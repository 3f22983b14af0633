"""What crosses a process boundary: request, job, report, problem, limits.

Pure pydantic; importable everywhere, imports nothing of ours.
"""
