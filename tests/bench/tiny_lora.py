"""A LoRA with random weights over every attention layer of a model's U-Net:
`python -m tests.bench.tiny_lora MODEL FILE`."""

import sys

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

RANK = 16
LAYERS = ("to_q", "to_k", "to_v", "to_out.0")


def main(model: str, file: str) -> None:
    """Writes it, in diffusers' names, as one for Stable Diffusion 1."""
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", use_safetensors=True)
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, layer in unet.named_modules():
        if name.endswith(LAYERS):
            rows, columns = layer.weight.shape
            down = torch.randn(RANK, columns, generator=generator)
            up = torch.randn(rows, RANK, generator=generator)
            tensors[f"unet.{name}.lora_A.weight"] = down / columns
            tensors[f"unet.{name}.lora_B.weight"] = up / RANK
    said = {"ss_base_model_version": "sd_v1", "ss_network_alpha": str(RANK)}
    save_file(tensors, file, metadata=said)


if __name__ == "__main__":
    main(*sys.argv[1:])
