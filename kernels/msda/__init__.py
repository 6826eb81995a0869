"""Multi-scale deformable attention: reference, CPU kernel, GPU kernel, dispatch, self-test."""
