"""The pretend device behaves as a CUDA device does, where other tests rely on that."""

import threading
from typing import Any

import pytest
import torch

from tests.pretend_cuda.device import PretendCuda
from tests.pretend_cuda.fixtures import pretend_cuda

__all__ = ["pretend_cuda"]


def test_tensors_say_cuda_and_hold_true_values(pretend_cuda: PretendCuda) -> None:
    there = torch.arange(6.0, device="cuda").reshape(2, 3)
    assert str(there.device) == "cuda:0"
    assert there[1].sum().item() == 12.0


def test_devices_do_not_mix(pretend_cuda: PretendCuda) -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        torch.nn.functional.scaled_dot_product_attention(
            *(there.view(1, 1, 3, 1), here.view(1, 1, 3, 1), here.view(1, 1, 3, 1))
        )
    with pytest.raises(RuntimeError, match="same device"):
        here[torch.zeros(2, dtype=torch.int64, device="cuda")]
    assert (there * torch.tensor(2.0)).device.type == "cuda"  # a number comes along


def test_number_formats_do_not_mix_in_one_kernel(pretend_cuda: PretendCuda) -> None:
    half = torch.ones(2, 2, device="cuda", dtype=torch.float16)
    with pytest.raises(RuntimeError, match="dtype"):
        half @ torch.ones(2, 2, device="cuda")


def test_each_wait_is_counted(pretend_cuda: PretendCuda) -> None:
    there = torch.ones(3, device="cuda")
    with pretend_cuda.counted() as waits:
        there.sum().item()
        there.cpu()
        torch.ones(3).to("cuda")
        there[[0, 2]]
        there[there > 0]
        there.nonzero()
        torch.linalg.solve(torch.eye(2, device="cuda"), torch.ones(2, device="cuda"))
        there.to("cpu", non_blocking=True)  # into pageable memory
    assert [wait.why for wait in waits] == [
        "_local_scalar_dense",
        "copy to main memory",
        "copy from pageable memory",
        "index by a list",
        "index by true and false",
        "nonzero",
        "_linalg_check_errors",
        "copy to main memory",
    ]


def test_what_stays_on_the_device_waits_for_nothing(pretend_cuda: PretendCuda) -> None:
    with pretend_cuda.counted() as waits:
        there = torch.ones(4, 4, device="cuda")
        there[2][torch.zeros(1, dtype=torch.int64, device="cuda")]
        torch.linalg.solve_ex(there + torch.eye(4, device="cuda"), there[0])
        (there @ there).clone().contiguous().half()
    assert waits == []


def test_pinned_copies_go_on_alone_and_arrive_with_their_event(pretend_cuda: PretendCuda) -> None:
    with pretend_cuda.counted() as waits:
        sent = torch.empty(3, pin_memory=True).fill_(5.0)
        there = sent.to("cuda", non_blocking=True)
        home = torch.empty(3, pin_memory=True)
        home.copy_(there, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        assert home.tolist() != [5.0] * 3, "nobody waited for it"
    assert waits == []
    event.synchronize()
    assert home.tolist() == [5.0] * 3
    assert [wait.why for wait in pretend_cuda.waits] == ["event"]


def test_float64_can_be_forbidden() -> None:
    with PretendCuda(allows_float64=False), pytest.raises(TypeError, match="float64"):
        torch.ones(2, dtype=torch.float64).to("cuda")


def test_tensors_work_in_other_threads_and_are_made_there_inside_here(
    pretend_cuda: PretendCuda,
) -> None:
    there, seen = torch.ones(2, device="cuda"), []

    def work() -> None:
        seen.append((there + 1)[0].item())
        with pretend_cuda.here():
            seen.append(torch.zeros(1, device="cuda").item())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [2.0, 0.0]


def test_a_captured_graph_computes_again_from_what_its_inputs_hold(
    pretend_cuda: PretendCuda,
) -> None:
    given, graph = torch.ones(2, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = (given * 3).view(2, 1)[1] + 1
    given.copy_(torch.full((2,), 2.0, device="cuda"))
    graph.replay()
    assert answer.tolist() == [7.0]


def test_nothing_that_waits_can_be_captured(pretend_cuda: PretendCuda) -> None:
    there = torch.ones(2, device="cuda")
    with (
        pytest.raises(RuntimeError, match="capturing"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        there.sum().item()
    assert not torch.cuda.is_current_stream_capturing()


def test_events_tell_the_times_that_they_are_given(pretend_cuda: PretendCuda) -> None:
    make: Any = torch.cuda.Event
    begin, end = make(enable_timing=True), make(enable_timing=True)
    begin.record()
    pretend_cuda.state.clock_ms += 40.0
    end.record()
    assert begin.elapsed_time(end) == 40.0


def test_memory_counters_are_what_they_are_set_to(pretend_cuda: PretendCuda) -> None:
    pretend_cuda.state.allocated = pretend_cuda.state.peak = 5
    torch.cuda.reset_peak_memory_stats()
    pretend_cuda.state.peak = 9
    assert (torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()) == (5, 9)
    assert torch.cuda.mem_get_info() == (pretend_cuda.state.free, pretend_cuda.state.total)
