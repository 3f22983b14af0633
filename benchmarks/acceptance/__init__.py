"""The acceptance experiment: how often the diagnosis is right, and how often it speaks up where nothing is wrong."""
