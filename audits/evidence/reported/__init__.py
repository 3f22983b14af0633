"""What was reported of the model, held against what it gives."""
