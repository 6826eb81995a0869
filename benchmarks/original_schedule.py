"""The schedule of Deformable DETR's CUDA operator in a kernel of ours, where the operator is not installed.

One thread computes one channel of one (query, head) and does all of a point's arithmetic itself, in float32,
as the published operator does. PyTorch compiles it at run time (NVRTC); forward only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from msda_cases import Problem
from torch import Tensor

THREADS = 256
SOURCE = r"""
extern "C" __global__ void channel_per_thread(
    const float* value, const int* levels, const float* points, const float* weights, float* output,
    int total, int tokens, int queries, int heads, int channels, int n_levels, int n_points) {
  const int index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= total) return;
  const int channel = index % channels;
  const int head = index / channels % heads;
  const long long row = index / (channels * heads);  // of all images' queries
  const long long stride = (long long)heads * channels;
  const float* image = value + row / queries * tokens * stride + head * channels + channel;
  const float* weight = weights + (row * heads + head) * n_levels * n_points;
  const float* point = points + 2 * (row * heads + head) * n_levels * n_points;
  float sum = 0.0f;
  for (int level = 0; level < n_levels; ++level) {
    const int rows = levels[3 * level], columns = levels[3 * level + 1], first = levels[3 * level + 2];
    for (int p = 0; p < n_points; ++p, point += 2, ++weight) {
      const float x = point[0] * columns - 0.5f, y = point[1] * rows - 0.5f;
      if (!(x > -1.0f && y > -1.0f && x < columns && y < rows)) continue;
      const int left = floorf(x), top = floorf(y);
      const float fx = x - left, fy = y - top;
      float sample = 0.0f;
      for (int corner = 0; corner < 4; ++corner) {
        const int c = left + (corner & 1), r = top + (corner >> 1);
        if (c < 0 || r < 0 || c >= columns || r >= rows) continue;
        const float share = (corner & 1 ? fx : 1.0f - fx) * (corner >> 1 ? fy : 1.0f - fy);
        sample += share * image[(first + (long long)r * columns + c) * stride];
      }
      sum += *weight * sample;
    }
  }
  output[index] = sum;
}
"""


def original_schedule(problem: Problem) -> Callable[[], Tensor]:
    """The forward pass in float32, checked against ours once; call it to run it.

    Raises:
        RuntimeError: it differs from ours.
        Exception: what NVRTC and PyTorch's `torch.cuda._compile_kernel` raise where they cannot compile.
    """
    from msda_peers import ours

    from relforge.kernels.msda.triton_launch import level_table

    kernel = torch.cuda._compile_kernel(SOURCE, "channel_per_thread")
    batch, tokens, heads, channels = problem.value.shape
    queries, points = problem.locations.shape[1], problem.locations.shape[4]
    levels = tuple((rows, columns) for rows, columns in problem.levels)
    table = level_table(levels, problem.value.device)
    output = torch.empty(batch, queries, heads * channels, device=problem.value.device)
    total = output.numel()
    sizes = [total, tokens, queries, heads, channels, len(levels), points]

    def run() -> Tensor:
        kernel(
            grid=((total + THREADS - 1) // THREADS, 1, 1),
            block=(THREADS, 1, 1),
            args=[problem.value, table, problem.locations, problem.weights, output, *sizes],
        )
        return output

    expected = ours(problem).passes(problem.grad_output)["forward"]()
    difference = float((run() - expected).abs().max() / expected.abs().max())
    if not difference < 1e-4:
        raise RuntimeError(f"it differs from ours by {difference:.2g}")
    return run
