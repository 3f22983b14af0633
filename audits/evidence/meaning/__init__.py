"""What a model answers: which output and column is judged, and what its numbers mean; see `understanding`."""
