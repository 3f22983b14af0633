"""Categories and texts that are spelled, coded or padded otherwise."""
