#!/usr/bin/env python3
"""PyTorch on the shapes of bench/src/networks.rs: rows in pinned memory to numbers in the host's, two streams, no TensorFloat-32."""
import sys, time

try:
    import torch
except ImportError:
    sys.exit("PyTorch: SKIPPED. It is not here.")
if not torch.cuda.is_available():
    sys.exit("PyTorch: SKIPPED. It sees no GPU.")
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
nn = torch.nn


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.one = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.two = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.kept = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, 2)

    def forward(self, x):
        return torch.relu(self.two(torch.relu(self.one(x))) + self.kept(x))


def resnet():
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    blocks = [Block(a, b) for a, b in zip(widths, widths[1:])]
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(3000, 384), nn.Parameter(torch.randn(1, 128, 384))
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(384, 12, 1536, 0.0, "gelu", batch_first=True), 6)

    def forward(self, x):
        return self.layers(self.words(x) + self.places).mean(1)


def mlp():
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())


cases = [
    ("MLP 8-64-64-1", mlp(), lambda n: torch.randn(n, 8), 1 << 14, 1 << 22),
    ("ResNet-18's layers", resnet(), lambda n: torch.randn(n, 3, 224, 224), 16, 2048),
    ("6-layer encoder", Encoder(), lambda n: torch.randint(0, 3000, (n, 128)), 64, 8192),
]
print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
for name, model, rows, batch, many in cases:
    model = model.cuda().eval()
    streams = [torch.cuda.Stream() for _ in range(2)]
    inputs = [rows(batch).pin_memory() for _ in streams]
    with torch.inference_mode():
        outputs = [torch.empty_like(model(i.cuda()), device="cpu").pin_memory() for i in inputs]

        def run(turn):
            with torch.cuda.stream(streams[turn % 2]):
                outputs[turn % 2].copy_(model(inputs[turn % 2].cuda(non_blocking=True)), non_blocking=True)

        for turn in range(4):
            run(turn)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for turn in range(many // batch):
            run(turn)
        torch.cuda.synchronize()
    print(f"| {name} | {batch} | {many / (time.perf_counter() - start):.0f} rows/s |")
