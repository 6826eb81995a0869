"""Detection datasets in: one adapter a file, and what they share.

An adapter reads records, as arrays (`records`, kept in `spill` buffers) or an image at a time (`by_image`).
The one `builder` cuts them into shards, checks them (`faults`, `relations`) and makes the tables (`shard`).
"""
