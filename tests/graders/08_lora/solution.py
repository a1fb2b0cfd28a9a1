def lora_forward(x, weight, A, B, alpha):
    rank = A.shape[0]
    scale = alpha / rank
    return x @ weight.T + scale * (x @ A.T @ B.T)


def lora_merge(weight, A, B, alpha):
    r = A.shape[0]
    delta = alpha / r * (B @ A)
    return weight + delta


def count_lora_parameters(shapes, rank):
    count = full = 0
    for name, shape in shapes.items():
        size = 1
        for n in shape:
            size *= n
        full += size
        if name.startswith("blocks.") and len(shape) == 2:
            count += rank * (shape[0] + shape[1])
    share = count / full if full else 0.0
    return count, share
