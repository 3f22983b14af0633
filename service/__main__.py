"""`python -m service` is `fitcheck`."""

from service.cli import main

main()
