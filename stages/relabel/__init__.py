"""The stage `relabel`: a model that learnt from one run's labels proposes and scores relations anew."""
