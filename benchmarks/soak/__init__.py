"""The soak: does the service keep every promise while its processes and its machine fail at random?"""
