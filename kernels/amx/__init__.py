"""Linear layers and attention on the tile unit (Intel AMX) of x86-64 server processors, for inference.

The unit multiplies bfloat16 and adds float32, sixteen times as fast as the vector units multiply float32.
float32 operands are split into a leading and a trailing bfloat16 and three of their four products are added:
about 16 bits of each operand count, where float32 has 24, and the result is off by some 5e-6 of its typical
size (Henry et al., "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
computations", 2019; torch calls it `float32_matmul_precision` "high"). A row's bits never depend on the other
rows, on how many there are, or on the number of threads.
"""
