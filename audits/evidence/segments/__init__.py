"""Groups of rows in which the model fares worse."""
