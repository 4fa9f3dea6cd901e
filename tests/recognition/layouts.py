"""Every layout that people have files in, and what is said of it: the table of docs/models.md."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.recognition import names
from tests.recognition.headers import Shape, Shapes, wrapped, write_gguf, write_header

Writer = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Layout:
    """`name`: of the file or folder. `write` makes it. `said`: some of what must be said of it."""

    what: str
    name: str
    write: Writer
    kind: str
    architecture: str = ""
    said: dict[str, Any] = field(default_factory=dict)


def _file(
    what: str,
    name: str,
    shapes: Shapes,
    kind: str = "checkpoint",
    architecture: str = "",
    *,
    dtype: str = "F16",
    metadata: dict[str, str] | None = None,
    missing: int = 0,
    told_as: str = "",
    **said: Any,
) -> Layout:
    def write(path: Path) -> object:
        return write_header(path, shapes, dtype=dtype, metadata=metadata, missing=missing)

    said["dtype"] = told_as or dtype
    return Layout(what, name, write, kind, architecture, {} if missing else said)


def _bytes(what: str, name: str, content: bytes, kind: str) -> Layout:
    return Layout(what, name, lambda path: path.write_bytes(content), kind)


def _gguf(what: str, name: str, *, kind: int, dtype: str) -> Layout:
    def write(path: Path) -> object:
        return write_gguf(path, names.flux(), kind=kind)

    return Layout(what, name, write, "checkpoint", "flux", {"dtype": dtype})


def _folder(what: str, name: str, class_name: str, architecture: str) -> Layout:
    def write(path: Path) -> object:
        path.mkdir()
        index = {"_class_name": class_name, "scheduler": ["diffusers", "DDIMScheduler"]}
        (path / "model_index.json").write_text(json.dumps(index))
        (path / "scheduler").mkdir()
        config = {"_class_name": "DDIMScheduler", "prediction_type": "epsilon"}
        (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
        return path

    return Layout(what, name, write, "pipeline", architecture)


_V: Final[dict[str, Shape]] = {"v_pred": (0,), "ztsnr": (0,)}
_EDM: Final[dict[str, Shape]] = {"edm_mean": (1, 4, 1, 1), "edm_std": (1, 4, 1, 1)}
_COMFY: Final = names.DENOISER
_NF4: Final[dict[str, Shape]] = {
    "double_blocks.0.img_attn.qkv.weight.quant_state.bitsandbytes__nf4": (229,),
    "double_blocks.0.img_attn.qkv.weight.absmax": (442368,),
}
_WORDS: Final = {
    "ss_network_dim": "16",
    "ss_network_alpha": "8.0",
    "ss_base_model_version": "sd_v1",
    "ss_dataset_dirs": json.dumps({"10_sks fox": {"n_repeats": 10, "img_count": 12}}),
    "modelspec.license": "CC-BY-4.0",
}
_PEFT_ALPHA: Final = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 32})}

STABLE_DIFFUSION: Final = (
    _file("SD 1.5", "v1-5-pruned-emaonly.safetensors", names.SD1, "checkpoint", "sd1",
          prediction_type="epsilon", dtype="F16"),
    _file("SD 1.5 in 32 bits, with EMA weights", "v1-5-pruned.safetensors", names.SD1_EMA,
          "checkpoint", "sd1", dtype="F32", prediction_type="epsilon"),
    _file("SD 1.5 without a VAE", "no-vae.safetensors",
          {name: shape for name, shape in names.SD1.items() if "first_stage" not in name},
          "checkpoint", "sd1", parts=["clip-l"]),
    _file("SD 1.5 with the old names of CLIP", "old-clip.safetensors", names.SD1_OLD,
          "checkpoint", "sd1"),
    _file("SD 1.5, v-prediction by name", "merge-vpred.safetensors", names.SD1, "checkpoint",
          "sd1", prediction_type="v_prediction"),
    _file("SD 1.5 inpainting", "sd-v1-5-inpainting.safetensors",
          names.SD1 | {f"{_COMFY}input_blocks.0.0.weight": (320, 9, 3, 3)}, "checkpoint", "sd1",
          variant="inpaint", in_channels=9),
    _file("SD 1.5 instruct-pix2pix", "instruct-pix2pix.safetensors",
          names.SD1 | {f"{_COMFY}input_blocks.0.0.weight": (320, 8, 3, 3)}, "checkpoint", "sd1",
          variant="instruct"),
    _file("SD 1.5, the U-Net alone", "unet.safetensors", names.unet(768), "checkpoint", "sd1"),
    _file("SD 2.1 768-v, by name", "v2-1_768-ema-pruned.safetensors", names.SD2, "checkpoint",
          "sd2", prediction_type="v_prediction"),
    _file("SD 2.1 512-base, by name", "v2-1_512-base-ema.safetensors", names.SD2, "checkpoint",
          "sd2", prediction_type="epsilon"),
    _file("SD 2.1, v-prediction by `modelspec`", "tuned.safetensors", names.SD2, "checkpoint",
          "sd2", metadata={"modelspec.prediction_type": "v"}, prediction_type="v_prediction"),
    _file("SD 2.1 that doesn't say what it predicts", "mystery.safetensors", names.SD2,
          "checkpoint", "sd2", prediction_type="unknown"),
    _file("SDXL", "sd_xl_base_1.0.safetensors", names.sdxl(), "checkpoint", "sdxl",
          prediction_type="epsilon"),
    _file("SDXL, v-prediction with zero terminal SNR", "noob.safetensors", names.sdxl() | _V,
          "checkpoint", "sdxl", prediction_type="v_prediction", zero_snr=True),
    _file("SDXL, Playground 2.5 (EDM)", "playground-v2.5.safetensors", names.sdxl() | _EDM,
          "checkpoint", "sdxl", prediction_type="edm"),
    _file("SDXL inpainting", "sdxl-inpaint.safetensors", names.sdxl(channels=9), "checkpoint",
          "sdxl", variant="inpaint"),
    _file("SDXL instruct-pix2pix", "sdxl-edit.safetensors", names.sdxl(channels=8), "checkpoint",
          "sdxl", variant="instruct"),
    _file("SDXL refiner", "sd_xl_refiner_1.0.safetensors", names.REFINER, "checkpoint",
          "sdxl-refiner"),
    _file("SDXL Turbo", "sd_xl_turbo_1.0_fp16.safetensors", names.sdxl(), "checkpoint", "sdxl",
          few_step="turbo"),
    _file("SDXL Lightning", "sdxl_lightning_4step.safetensors", names.sdxl(), "checkpoint", "sdxl",
          few_step="lightning", few_steps=4),
    _file("SDXL merged with LCM", "dream-xl-lcm.safetensors", names.sdxl(), "checkpoint", "sdxl",
          few_step="lcm"),
    _file("SDXL merged with DMD2, by its title", "merge.safetensors", names.sdxl(), "checkpoint",
          "sdxl", metadata={"modelspec.title": "Dream XL DMD2"}, few_step="dmd2",
          title="Dream XL DMD2"),
    _file("SD 3 with its text encoders", "sd3_medium_incl_clips_t5xxlfp16.safetensors",
          wrapped(names.SD3, _COMFY) | names.SD3_ENCODERS
          | wrapped(names.VAE_16, "first_stage_model."), "checkpoint", "sd3",
          parts=["clip-l", "clip-g", "t5", "vae"]),
    _file("SD 3.5 without text encoders", "sd3.5_large.safetensors",
          wrapped(names.SD3, _COMFY) | wrapped(names.VAE_16, "first_stage_model."), "checkpoint",
          "sd3", parts=["vae"]),
)  # fmt: skip

FLUX: Final = (
    _file("FLUX.1 dev, as published", "flux1-dev.safetensors", names.flux(), "checkpoint", "flux",
          dtype="BF16", few_step=""),
    _file("FLUX.1 schnell, as published", "flux1-schnell.safetensors", names.flux(guidance=False),
          "checkpoint", "flux", dtype="BF16", few_step="schnell", few_steps=4),
    _file("FLUX.1 Fill", "flux1-fill-dev.safetensors", names.flux(channels=384), "checkpoint",
          "flux", dtype="BF16", variant="fill"),
    _file("FLUX.1 with the prefix of ComfyUI", "flux-comfy.safetensors",
          wrapped(names.flux(), _COMFY), "checkpoint", "flux", dtype="BF16"),
    _file("FLUX.1 in fp8", "flux1-dev-fp8.safetensors", names.flux(), "checkpoint", "flux",
          dtype="F8_E4M3"),
    _file("FLUX.1 in NF4", "flux1-dev-nf4.safetensors", names.flux() | _NF4, "checkpoint", "flux",
          dtype="U8", told_as="NF4"),
    _file("FLUX.1, a transformer of diffusers", "diffusion_pytorch_model.safetensors",
          names.FLUX_DIFFUSERS, "checkpoint", "flux", dtype="BF16", layout="diffusers"),
    _gguf("FLUX.1 in GGUF Q4_0", "flux1-dev-Q4_0.gguf", kind=2, dtype="Q4_0"),
    _gguf("FLUX.1 in GGUF Q8_0", "flux1-dev-Q8_0.gguf", kind=8, dtype="Q8_0"),
)  # fmt: skip

OTHERS: Final = tuple(
    _file(what, f"{architecture}.safetensors", shapes, "checkpoint", architecture, dtype="BF16")
    for what, architecture, shapes in (
        ("FLUX.2 klein", "flux2", names.FLUX2),
        ("Chroma", "chroma", names.CHROMA),
        ("Z-Image", "z-image", wrapped(names.Z_IMAGE, _COMFY)),
        ("Qwen-Image", "qwen-image", wrapped(names.QWEN_IMAGE, _COMFY)),
        ("Lumina 2", "lumina2", wrapped(names.LUMINA2, _COMFY)),
        ("Sana", "sana", names.SANA),
        ("PixArt", "pixart", names.PIXART),
        ("AuraFlow", "auraflow", names.AURAFLOW),
        ("Kandinsky 2.2", "kandinsky2", names.KANDINSKY),
        ("Stable Cascade", "cascade", names.CASCADE),
        ("HiDream", "hidream", wrapped(names.HIDREAM, _COMFY)),
        ("Wan (video)", "video", names.WAN),
    )
)

FOLDERS: Final = tuple(
    _folder(f"diffusers folder, {class_name}", class_name, class_name, architecture)
    for class_name, architecture in (
        ("StableDiffusionPipeline", "sd1"),
        ("StableDiffusionXLPipeline", "sdxl"),
        ("StableDiffusion3Pipeline", "sd3"),
        ("FluxPipeline", "flux"),
    )
)

ADAPTERS: Final = (
    _file("LoRA (kohya), SD 1.5", "fox.safetensors", names.KOHYA, "lora", "sd1", metadata=_WORDS,
          variant="lora", rank=16, alpha=8.0, trigger_words=["sks fox"], licence="CC-BY-4.0"),
    _file("LoRA (kohya), SDXL", "xl.safetensors", names.KOHYA_SDXL, "lora", "sdxl", rank=32),
    _file("LoCon", "locon.safetensors", names.LOCON, "lora", "sd1", variant="locon"),
    _file("LoHa", "loha.safetensors", names.lycoris(
        hada_w1_a=(320, 8), hada_w1_b=(8, 768), hada_w2_a=(320, 8), hada_w2_b=(8, 768), alpha=()),
        "lora", variant="loha", rank=8),
    _file("LoKr", "lokr.safetensors", names.lycoris(lokr_w1=(8, 8), lokr_w2=(40, 96), alpha=()),
          "lora", variant="lokr"),
    _file("DoRA", "dora.safetensors", names.KOHYA | names.lycoris(dora_scale=(1, 320)), "lora",
          "sd1", variant="dora"),
    _file("GLoRA", "glora.safetensors", names.lycoris(
        a1__weight=(8, 768), a2__weight=(768, 8), b1__weight=(8, 768), b2__weight=(320, 8)),
        "lora", variant="glora"),
    _file("OFT", "oft.safetensors", names.lycoris(oft_blocks=(8, 40, 40)), "lora", variant="oft"),
    _file("full differences", "full.safetensors", names.lycoris(diff=(320, 768), diff_b=(320,)),
          "lora", variant="full"),
    _file("differences of norms", "norm.safetensors", names.lycoris(w_norm=(320,), b_norm=(320,)),
          "lora", variant="norm"),
    _file("LoRA (PEFT), FLUX.1", "flux-lora.safetensors", names.PEFT_FLUX, "lora", "flux",
          metadata=_PEFT_ALPHA, rank=16, alpha=32.0),
    _file("LoRA (diffusers before PEFT)", "attn-procs.safetensors", names.OLD_DIFFUSERS, "lora",
          "sd1", rank=4),
    _file("textual inversion", "easynegative.safetensors", {"emb_params": (8, 768)}, "embedding",
          "sd1", trigger_words=["easynegative"]),
    _file("textual inversion, SDXL", "neg-xl.safetensors",
          {"clip_l": (8, 768), "clip_g": (8, 1280)}, "embedding", "sdxl"),
)  # fmt: skip

PARTS: Final = (
    _file("VAE, SD 1", "vae-ft-mse-840000.safetensors", names.VAE, "vae", "sd1"),
    _file("VAE, SDXL", "sdxl_vae.safetensors", names.VAE, "vae", "sdxl"),
    _file("VAE, FLUX.1", "ae.safetensors", names.VAE_16, "vae", "flux"),
    _file(
        "ControlNet, as published",
        "control_canny.safetensors",
        {"control_model.time_embed.0.weight": (1280, 320)},
        "controlnet",
    ),
    _file(
        "ControlNet of diffusers",
        "controlnet.safetensors",
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)},
        "controlnet",
    ),
    _file(
        "IP-Adapter",
        "ip-adapter_sd15.safetensors",
        {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
        "ip-adapter",
    ),
    _file(
        "upscaler (ESRGAN)",
        "4x-UltraSharp.safetensors",
        {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)},
        "upscaler",
    ),
    _file(
        "upscaler (Real-ESRGAN)",
        "RealESRGAN_x4plus.safetensors",
        {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)},
        "upscaler",
    ),
    _file("text encoder, T5-XXL", "t5xxl_fp16.safetensors", names.T5, "text encoder", "t5"),
    _file("text encoder, CLIP-L", "clip_l.safetensors", names.CLIP_L, "text encoder", "clip-l"),
)

BROKEN: Final = (
    _bytes("`.ckpt`", "model.ckpt", b"\x80\x02}", "pickle"),
    _bytes("`.pt`", "model.pt", b"PK\x03\x04", "pickle"),
    _bytes("`.pth`", "4x.pth", b"\x80\x02}", "pickle"),
    _bytes("`.bin`", "model.bin", b"\x80\x02}", "pickle"),
    _bytes("a pickle by another name", "renamed.safetensors", b"\x80\x04\x95", "pickle"),
    _bytes("an empty file", "empty.safetensors", b"", "damaged"),
    _bytes("cut off in its header", "header.safetensors", b"\xff\x0f\0\0\0\0\0\0{", "damaged"),
    _file("cut off in its weights", "cut.safetensors", names.SD1, "damaged", missing=9_000_000),
    Layout("GGUF that is cut off", "cut.gguf",
           lambda path: write_gguf(path, names.flux(), kind=2, missing=1000), "damaged"),
    _bytes("a web page in place of the file", "page.safetensors", b"<!DOCTYPE html><html>",
           "damaged"),
    _bytes("a Git LFS pointer", "pointer.safetensors",
           b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "damaged"),
    _bytes("an archive", "model.zip", b"PK\x03\x04....", "archive"),
    _bytes("an archive by another name", "zipped.safetensors", b"7z\xbc\xaf\x27\x1c..", "archive"),
    _file("tensors of no known layout", "other.safetensors", {"a.weight": (4, 4), "b.weight": (4,)},
          "unknown"),
)  # fmt: skip

SECTIONS: Final = {
    "Stable Diffusion": STABLE_DIFFUSION,
    "FLUX.1": FLUX,
    "Other architectures, as single files": OTHERS,
    "Folders in diffusers format": FOLDERS,
    "LoRAs, their like, and embeddings": ADAPTERS,
    "Parts": PARTS,
    "What can't be read": BROKEN,
}
EVERY: Final = tuple(layout for section in SECTIONS.values() for layout in section)
