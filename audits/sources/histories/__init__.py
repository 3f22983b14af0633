"""Training histories, whatever wrote them."""
