"""Figures: what the evidence looks like, as Vega-Lite specifications that any client can draw.

One file draws one kind of figure; `drawing` decides which of them a report gets and where they stand in it.
"""
