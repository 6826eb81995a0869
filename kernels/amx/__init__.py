"""Linear layers and attention on Intel AMX, the matrix unit of x86-64 server processors, for inference.

AMX multiplies bfloat16 and sums in float32, sixteen times as fast as the vector units multiply float32.
float32 operands are split into a leading and a trailing bfloat16, and three of their four partial products
are summed: about 16 bits of each operand count, where float32 has 24, and a result is off by some 5e-6 of its
typical size (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
higher-precision computations", 2019; PyTorch calls it `float32_matmul_precision` "high"). The bits of a row
never depend on the other rows, on how many there are, or on the number of threads.
"""
