import torch


def rename_weights(state, rules):
    renamed, unknown = {}, []
    for name, weight in state.items():
        new_name, known, dropped, transposed = name, False, False, False
        for old, new, swap in rules:
            if old not in new_name:
                continue
            known = True
            if new is None:
                dropped = True
                break
            new_name = new_name.replace(old, new)
            transposed = transposed or swap
        if dropped:
            continue
        if not known:
            unknown.append(name)
            continue
        if transposed and weight.dim() == 2:
            weight = weight.T
        renamed[new_name] = weight
    return renamed, unknown


def is_chinese(character):
    return "\u4e00" <= character <= "\u9fff" or "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uffef"


def chat_template(messages):
    segments = [("[DOC]", False)]
    before = ""
    for role, content in messages:
        content = content.strip()
        if role == "system":
            before = f"SYSTEM: {content} "
        elif role == "user":
            segments.append((f"{before}USER: {content} AI:", False))
            before = ""
        else:
            space = "" if is_chinese(content[0]) else " "
            segments.append((space + content, True))
            segments.append(("[END]", True))
    return segments


def quantise_rows(weight):
    largest = weight.abs().max(dim=1).values
    scale = largest / 127
    scale[largest == 0] = 1.0
    q = torch.round(weight / scale.unsqueeze(1))
    return q.to(torch.int8), scale


def rotary_halves(weight, n_head):
    heads = weight.reshape(n_head, -1, weight.shape[1])
    first, second = heads[:, 0::2], heads[:, 1::2]
    return torch.cat([first, second], dim=1).reshape(weight.shape)


def unpack_q4(packed, scale, minimum):
    low = packed % 16
    high = packed // 16
    q = torch.cat([low, high], dim=1)
    return q * scale[:, None] + minimum[:, None]


def share_kept(before, after):
    knew = [i for i, right in enumerate(before) if right]
    if not knew:
        return 1.0
    still = [i for i in knew if after[i]]
    return len(still) / len(knew)
