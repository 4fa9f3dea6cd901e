"""What the words of a device's library mean: no room, a lost device, or an image's own fault."""

import pytest

from worker.engine.device_errors import device_lost, is_allocation_failure, is_device_lost
from worker.engine.errors import DeviceLost, EngineStopped, ModelUnavailable

NO_ROOM = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.76 GiB",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "HIP out of memory. Tried to allocate 512.00 MiB",
    "MPS backend out of memory (MPS allocated: 9.00 GB)",
    "Triton Error [CUDA]: out of memory",
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "miopenStatusAllocFailed",
    "GET was unable to find an engine to execute this computation",
]
LOST = [
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported",
    "CUDA error: device-side assert triggered",
    "CUDA error: unspecified launch failure",
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA driver error: unknown error",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED, when calling `cusolverDnSgetrf(...)`",
    "HIP error: an illegal memory access was encountered",
    "CUDA error: HIPBLAS_STATUS_EXECUTION_FAILED when calling `hipblasGemmEx(...)`",
    "miopenStatusInternalError",
    "Triton Error [CUDA]: an illegal memory access was encountered",
]
ITS_OWN = [
    "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a tensor",
    "CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm(...)`",
    "cuDNN error: CUDNN_STATUS_BAD_PARAM",
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu",
]


@pytest.mark.parametrize("words", NO_ROOM)
def test_an_allocation_that_failed_is_no_room_and_no_lost_device(words: str) -> None:
    error = RuntimeError(words)
    assert is_allocation_failure(error)
    assert not is_device_lost(error)


@pytest.mark.parametrize("words", LOST)
def test_a_device_that_answers_no_more_is_lost(words: str) -> None:
    error = RuntimeError(words)
    assert is_device_lost(error)
    assert not is_allocation_failure(error)


@pytest.mark.parametrize("words", ITS_OWN)
def test_what_the_library_was_asked_wrongly_is_the_images_own_fault(words: str) -> None:
    error = RuntimeError(words)
    assert not is_device_lost(error)
    assert not is_allocation_failure(error)


def test_words_alone_are_not_enough_and_a_lost_device_stays_one() -> None:
    assert not is_device_lost(ValueError("CUDA error: an illegal memory access was encountered"))
    assert is_allocation_failure(MemoryError())
    lost = DeviceLost()
    assert is_device_lost(lost)
    assert device_lost(lost) is lost


def test_a_loss_is_seen_through_what_was_raised_from_it() -> None:
    around = ModelUnavailable("The model toy cannot be loaded.")
    around.__cause__ = RuntimeError(LOST[0])
    assert is_device_lost(around)
    assert device_lost(around).detail.startswith("RuntimeError: CUDA error: an illegal")
    around.__cause__ = RuntimeError(NO_ROOM[0])
    assert not is_device_lost(around)


def test_a_lost_device_is_told_by_the_first_line_of_its_error() -> None:
    """The rest is advice to developers that torch adds to every such error."""
    lost = device_lost(RuntimeError(LOST[0]))
    assert isinstance(lost, EngineStopped)
    assert lost.detail == "RuntimeError: CUDA error: an illegal memory access was encountered"
