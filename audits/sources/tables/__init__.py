"""Tables: files of typed columns, whatever format they are in, and the split that they make."""
