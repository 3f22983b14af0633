"""Other tools on the same cases: each in an environment of its own, with its own default limits.

`preparing` works out the model's predictions and writes plain files. An adapter (`*_adapter.py`) is run by the tool's
own interpreter, reads these and says which checks raised an alarm. `mapping` says what an alarm names and may notice.
"""
