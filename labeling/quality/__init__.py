"""How good the labels are: rows read into plain pairs for `labeling.statistics`. Writes nothing.

Used by the pages, REST and commands alike. Every query is bounded: by the size of the benchmark, of
which at most a fixed random sample is read, and by the newest answers.
"""
