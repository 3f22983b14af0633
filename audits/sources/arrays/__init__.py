"""Arrays: named arrays with one entry a row, and the split that they make."""
