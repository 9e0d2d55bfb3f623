"""One module per kind of validator. Each gives a probability to every option of a request."""
