"""Rows that follow each other in time."""
