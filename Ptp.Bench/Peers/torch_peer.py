"""PyTorch as a peer of Ptp.Bench: reads "what sizes... seconds" line by line, answers with seconds per call.

What is timed is what a user of PyTorch would write: eager ops, and for training the same LLaMA as Ptp.Core's
(RMSNorm, RoPE on halves, causal attention, SwiGLU, tied embeddings, mean cross-entropy, clipping, AdamW).
Refuses: nothing; an unknown line is answered by "nan".
"""
import math
import sys
import time

import torch
import torch.nn.functional as F

THREADS = int(sys.argv[1])
DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cpu"
if DEVICE == "cuda":
    torch.set_default_device(DEVICE)  # without a GPU the first tensor fails, and there is no peer
    torch.ones(1)
    torch.backends.cuda.matmul.allow_tf32 = False
SIZES = {"4.2M": (256, 4, 4), "34M": (512, 8, 8)}  # width, layers, heads; MLP of four times the width, 2,048 tokens
CONTEXT = 512


class Block(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = torch.nn.Parameter(torch.ones(width))
        self.norm2 = torch.nn.Parameter(torch.ones(width))
        linear = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.q, self.k, self.v, self.o = (linear(width, width) for _ in range(4))
        self.gate, self.up, self.down = linear(width, 4 * width), linear(width, 4 * width), linear(4 * width, width)

    def forward(self, x, cosine, sine, mask):
        b, t, d = x.shape
        n = norm(x, self.norm1)
        split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = rope(split(self.q(n)), cosine, sine), rope(split(self.k(n)), cosine, sine), split(self.v(n))
        a = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d // self.heads) + mask, dim=-1) @ v
        x = x + self.o(a.transpose(1, 2).reshape(b, t, d))
        n = norm(x, self.norm2)
        return x + self.down(F.silu(self.gate(n)) * self.up(n))


class Llama(torch.nn.Module):
    def __init__(self, width, layers, heads, vocabulary=2048):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = torch.nn.Parameter(torch.ones(width))
        for p in self.parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=0.02)
        k = width // heads
        angle = torch.arange(CONTEXT)[:, None] * 10000.0 ** (-torch.arange(0, k, 2) / k)
        self.register_buffer("cosine", torch.cos(angle))
        self.register_buffer("sine", torch.sin(angle))
        self.register_buffer("mask", torch.full((CONTEXT, CONTEXT), -math.inf).triu(1))

    def forward(self, ids):
        x, t = self.embedding(ids), ids.shape[1]
        for block in self.blocks:
            x = block(x, self.cosine[:t], self.sine[:t], self.mask[:t, :t])
        return F.linear(norm(x, self.norm), self.embedding.weight)


def norm(x, gain):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gain


def rope(x, cosine, sine):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


def train(size, rows, length):
    model = Llama(*SIZES[size])
    decayed = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), foreach=True)
    ids = torch.randint(2048, (rows // length, length + 1))

    def step():
        optimiser.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1])
        F.cross_entropy(logits.reshape(-1, 2048), ids[:, 1:].reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def forward(r, k, n):
    x, w = torch.randn(r, k), torch.randn(n, k)
    return no_grad(lambda: F.linear(x, w))


def forward_bf16(r, k, n):
    x, w = torch.randn(r, k).bfloat16(), torch.randn(n, k).bfloat16()
    return no_grad(lambda: F.linear(x, w))


def forward_tf32(r, k, n):
    x, w = torch.randn(r, k), torch.randn(n, k)

    def multiply():
        torch.backends.cuda.matmul.allow_tf32 = True
        F.linear(x, w)
        torch.backends.cuda.matmul.allow_tf32 = False

    return no_grad(multiply)


def input_gradient(r, k, n):
    y, w = torch.randn(r, n), torch.randn(n, k)
    return no_grad(lambda: y @ w)


def weight_gradient(r, k, n):
    y, x = torch.randn(r, n), torch.randn(r, k)
    return no_grad(lambda: y.t() @ x)


def attention(rows, cached, heads, k):
    q, keys, values = (torch.randn(heads, t, k) for t in (rows, cached + rows, cached + rows))
    mask = torch.full((rows, cached + rows), -math.inf).triu(cached + 1)
    return no_grad(lambda: torch.softmax(q @ keys.transpose(1, 2) / math.sqrt(k) + mask, dim=-1) @ values)


def softmax(rows, columns):
    x = torch.randn(rows, columns)
    return no_grad(lambda: torch.softmax(x, dim=-1))


def no_grad(body):
    return torch.no_grad()(body)


KINDS = {f.__name__: f for f in (forward, forward_bf16, forward_tf32, input_gradient, weight_gradient, attention, softmax, train)}
bodies = {}


def measure(what, *arguments):
    *sizes, seconds = arguments
    key = (what, *sizes)
    if key not in bodies:
        bodies.clear()  # one at a time: weights of the last question need not stay
        bodies[key] = KINDS[what](*(int(s) if s.isdigit() else s for s in sizes))
    body = bodies[key]
    if DEVICE == "cuda":
        return on_device(body, float(seconds))
    start = time.perf_counter()
    body()
    elapsed = time.perf_counter() - start
    if elapsed > 5 * max(float(seconds), 0.02):
        return elapsed  # as Clock.Time: a long call needs no waking
    start, calls = time.perf_counter(), 0
    while True:
        body()
        calls += 1
        elapsed = time.perf_counter() - start
        if elapsed >= float(seconds):
            return elapsed / calls


def on_device(body, seconds):
    body()
    torch.cuda.synchronize()
    calls = 1
    while True:  # as GpuBackend.Time: one wait at the end of many calls
        start = time.perf_counter()
        for _ in range(calls):
            body()
        torch.cuda.synchronize()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return elapsed / calls
        calls *= 2


torch.set_num_threads(THREADS)
print(torch.__version__, flush=True)
for line in sys.stdin:
    try:
        print(measure(*line.split()), flush=True)
    except Exception as error:  # answered, so that nobody waits
        print("nan", flush=True)
        print(error, file=sys.stderr)
