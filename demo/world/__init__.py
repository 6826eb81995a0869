"""A drawn world of small scenes whose relations are known: pictures, boxes, captions, gold."""
