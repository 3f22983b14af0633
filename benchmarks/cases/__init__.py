"""Audits whose truth is known: real data, a network trained on the spot, and one injected fault or none.

`worlds` holds the data, `faults` what is done to them, `networks` trains and exports, `making` puts them together and
writes a case folder: model/, train and validation data, request.json and truth.json.
"""

from benchmarks.cases.making import Plan, Truth, make, request_of, truth_of

__all__ = ["Plan", "Truth", "make", "request_of", "truth_of"]
