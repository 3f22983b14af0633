"""The engine: from a model and its data to a report. A library that runs without the service."""
