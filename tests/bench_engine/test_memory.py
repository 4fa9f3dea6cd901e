"""The bench's peak is the true one, whoever else looks at CUDA's one counter."""

import torch

from tests.bench.engine.memory import BYTES_PER_MB, PeakMemory
from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda
from worker.pipelines.memory import CudaProbe, RowMeter

__all__ = ["pretend_cuda"]


def use(gpu: PretendCuda, megabytes: int) -> None:
    """Something is allocated and given back."""
    state = gpu.state
    state.peak = max(state.peak, state.allocated + megabytes * BYTES_PER_MB)


def test_a_peak_before_the_engine_starts_the_counter_anew_is_not_forgotten(
    pretend_cuda: PretendCuda,
) -> None:
    pretend_cuda.state.allocated = 100 * BYTES_PER_MB
    original = torch.cuda.reset_peak_memory_stats
    peak = PeakMemory("cuda")
    meter = RowMeter(CudaProbe(torch.device("cuda")))
    use(pretend_cuda, 5000)  # a decode
    with meter.measuring("key", 2) as call:
        use(pretend_cuda, 100)
        call.rows = 2
    assert peak.mb() == 5000
    assert torch.cuda.reset_peak_memory_stats is original


def test_a_run_without_a_reset_has_the_counters_own_peak(pretend_cuda: PretendCuda) -> None:
    peak = PeakMemory("cuda")
    use(pretend_cuda, 70)
    assert peak.mb() == 70
