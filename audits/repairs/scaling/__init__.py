"""Values on another scale: which map carries them back, what it is called, and its placebo."""
