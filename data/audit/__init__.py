"""Images of benchmarks' test sets that a labelled or training set has too, and lists of them."""
