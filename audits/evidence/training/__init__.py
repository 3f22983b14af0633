"""How the training went, and which epoch was exported."""
