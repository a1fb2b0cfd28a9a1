import torch


def layer_norm(x, weight, bias, eps):
    mean = x.mean(dim=-1, keepdim=True)
    centred = x - mean
    variance = (centred**2).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + eps) * weight + bias


def rms_norm(x, eps=1e-5):
    wide = x.to(torch.float32)
    mean_square = wide.pow(2).mean(dim=-1, keepdim=True)
    return wide / (mean_square + eps).sqrt()


def rotary_angles(n_ctx, head_dim, base):
    exponents = torch.arange(0, head_dim, 2).float() / head_dim
    frequencies = 1.0 / base**exponents
    positions = torch.arange(n_ctx).float()
    return positions[:, None] * frequencies[None, :]


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    new_a = a * cos - b * sin
    new_b = a * sin + b * cos
    return torch.cat([new_a, new_b], dim=-1)


def block(x, norm1, attn, norm2, mlp):
    after_attention = x + attn(norm1(x))
    return after_attention + mlp(norm2(after_attention))
