"""A drawn world of small scenes whose relations are known: images, boxes, captions, gold."""
