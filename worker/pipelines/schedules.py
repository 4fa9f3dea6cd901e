"""What a model was trained to predict, and how noise is spaced for it, as its file says: a single
file brings no scheduler, and the configuration that it is loaded with is that of its family."""

from typing import Any, Final

from worker.recognition.found import Found

# Distilled for times that begin with the last: those of Luo et al. (lcm) have a scheduler that
# begins there anyway.
_TRAILING: Final = frozenset({"turbo", "lightning", "hyper", "dmd2"})
# Lin et al. 2024, 3.4: without it, what such a model draws with guidance is too bright.
ZERO_SNR_RESCALE: Final = 0.7


def settings_found(found: Found) -> dict[str, Any]:
    """The settings of a scheduler that the file tells; those that it does not tell are left out."""
    settings: dict[str, Any] = {}
    if found.prediction_type in {"epsilon", "v_prediction"}:
        settings["prediction_type"] = found.prediction_type
    if found.zero_snr:
        settings["rescale_betas_zero_snr"] = True
    # Where the last time is noise alone, drawing has to begin there (Lin et al. 2024, 3.3).
    if found.zero_snr or found.few_step in _TRAILING:
        settings["timestep_spacing"] = "trailing"
    return settings if found.prediction_type != "flow" else {}


def guidance_rescale(trained: Any) -> float:
    """How far guided answers are brought back to the spread of the prompt's own; 0.0 is not at
    all."""
    config = trained.config
    is_zero_snr = config.get("rescale_betas_zero_snr", False)
    if is_zero_snr and config.get("prediction_type") == "v_prediction":
        return ZERO_SNR_RESCALE
    return 0.0
