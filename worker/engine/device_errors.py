"""Telling by its words what an error of a device's library means.

torch raises a plain RuntimeError for most of them, so that the words are all there is; a part of
them stands in no documentation. Pure Python: the engine asks, too.
"""

from worker.engine.errors import DeviceLost

# Lower case, as they stand somewhere in the message.
ALLOCATION_SIGNS = (
    "out of memory",  # CUDA, HIP, MPS and Triton
    "can't allocate memory",  # the CPU's allocator
    "not enough memory",
    "_status_alloc_failed",  # cuBLAS, cuDNN, cuSOLVER and hipBLAS
    "statusallocfailed",  # MIOpen
    "_device_allocation_failed",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "_host_allocation_failed",
    "blas_status_not_initialized",  # a handle is made at first use, and takes memory
    "cudnn_status_not_initialized",
    "unable to find an engine to execute this computation",  # no plan's workspace had room
)
# A library refused its arguments: the device is as it was, and the image fails by itself.
_ARGUMENT_SIGNS = (
    "_status_not_supported",
    "_status_invalid_value",
    "_status_bad_param",
    "statusnotimplemented",
    "statusbadparm",
)
_DEVICE_SIGNS = (
    "cuda error:",
    "cuda driver error:",
    "hip error:",
    "triton error [cuda]",
    "triton error [hip]",
    "cublas_status_",
    "cudnn_status_",
    "cusolver_status_",
    "hipblas_status_",
    "rocblas_status_",
    "miopenstatus",
)


def is_allocation_failure(error: BaseException) -> bool:
    """True when the device, or the machine, had no room for what was asked of it."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and _has(error, ALLOCATION_SIGNS)


def is_device_lost(error: BaseException) -> bool:
    """True when the device answers this process no more: after such an error every further call
    raises, whatever it asks for. What stands around it (a model that "cannot be loaded") does not
    matter."""
    return _loss_within(error) is not None


def device_lost(error: BaseException) -> DeviceLost:
    """The `DeviceLost` that `error` stands for: itself, or one with its first line as detail."""
    loss = _loss_within(error) or error
    if isinstance(loss, DeviceLost):
        return loss
    first_line = next(iter(str(loss).strip().splitlines()), "")
    lost = DeviceLost(detail=f"{type(loss).__name__}: {first_line}")
    lost.__cause__ = error
    return lost


def _loss_within(error: BaseException | None) -> BaseException | None:
    """The error itself or the one among its causes that says so; None if none does."""
    while error is not None and not _says_lost(error):
        error = error.__cause__
    return error


def _says_lost(error: BaseException) -> bool:
    if isinstance(error, DeviceLost):
        return True
    if not isinstance(error, RuntimeError) or is_allocation_failure(error):
        return False
    return _has(error, _DEVICE_SIGNS) and not _has(error, _ARGUMENT_SIGNS)


def _has(error: BaseException, signs: tuple[str, ...]) -> bool:
    words = str(error).lower()
    return any(sign in words for sign in signs)
