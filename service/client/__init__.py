"""The client of the service, for programs and for the command line; users import it from `fitcheck`."""
