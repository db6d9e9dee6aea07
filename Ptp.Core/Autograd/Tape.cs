// Records the ops of one pass and replays them backwards: reverse-mode differentiation over the backend contract.
// Each method is one op: forward now, its backward (equations in IBackend) pushed for later.
// Refuses: graphs that outlive Reset; in-place ops other than RoPE and the low-rank addition.

using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

/// <summary>One pass over a backend, in memory that Reset takes back.</summary>
public sealed partial class Tape(IBackend backend)
{
    private readonly Arena _arena = new(backend);
    private readonly List<Action> _backward = [];

    /// <summary>The device of this tape.</summary>
    public IBackend Backend => backend;

    /// <summary>True while ops are recorded for <see cref="Backward"/>; decoders leave it false.</summary>
    public bool Recording { get; set; }

    /// <summary>Floats that the tape's memory holds.</summary>
    public long Capacity => _arena.Capacity;

    /// <summary>Forgets the pass; every variable of it is dead.</summary>
    public void Reset()
    {
        _backward.Clear();
        _arena.Reset();
    }

    /// <summary>Replays the recorded ops from last to first.</summary>
    public void Backward()
    {
        for (var i = _backward.Count - 1; i >= 0; i--)
        {
            _backward[i]();
        }
    }

    /// <summary>A variable [rows, columns] to be written by ops; its gradient starts at zero.</summary>
    public Variable Empty(int rows, int columns, bool needsGradient = true) => new(
        _arena.Rent(rows, columns), Recording && needsGradient ? _arena.RentZeroed(rows, columns) : null);

    /// <summary>A constant copied from host memory.</summary>
    public Variable Constant(ReadOnlySpan<float> values, int rows, int columns)
    {
        var tensor = _arena.Rent(rows, columns);
        backend.Upload(values, tensor);
        return new Variable(tensor, null);
    }

    /// <summary>Rows of the table [V, D] by id, written to <paramref name="output"/> [R, D].</summary>
    public void Embedding(Parameter table, int[] ids, Variable output)
    {
        backend.Embedding(table.Value, ids, output.Value);
        if (Recording && table.Gradient is { } dTable && output.Gradient is { } dOutput)
        {
            _backward.Add(() => backend.EmbeddingBackward(dOutput, ids, dTable));
        }
    }

    /// <summary>x W^T, [R, K] to [R, N].</summary>
    public Variable MatMul(Variable x, Parameter weight)
    {
        var y = Empty(x.Value.Rows, weight.Value.Rows, x.Gradient is not null || weight.Gradient is not null);
        MatMul(x, weight, y);
        return y;
    }

    /// <summary>x W^T written, or added, to <paramref name="y"/> [R, N].</summary>
    public void MatMul(Variable x, Parameter weight, Variable y, bool accumulate = false)
    {
        backend.MatMul(x.Value, weight.Packed(), accumulate, y.Value);
        if (!Recording || y.Gradient is null)
        {
            return;
        }

        _backward.Add(() =>
        {
            if (x.Gradient is not null)
            {
                backend.MatMulBackwardInput(y.Gradient!, weight.PackedTransposed(), x.Gradient);
            }

            if (weight.Gradient is not null)
            {
                backend.MatMulBackwardWeight(y.Gradient!, x.Value, weight.Gradient);
            }
        });
    }

    /// <summary>y += scale * (x A^T) B^T in place; A [r, K], B [N, r]. The addition of gated LoRA.</summary>
    public void AddLowRank(Variable x, Parameter a, Parameter b, float scale, Variable y)
    {
        var h = Empty(x.Value.Rows, a.Value.Rows);
        backend.MatMul(x.Value, a.Packed(), false, h.Value);
        backend.Scale(scale, h.Value);
        backend.MatMul(h.Value, b.Packed(), true, y.Value);
        if (!Recording || y.Gradient is null || h.Gradient is null)
        {
            return;
        }

        _backward.Add(() =>
        {
            // y += h B^T  =>  dh = dy B, dB = dy^T h
            backend.MatMulBackwardInput(y.Gradient, b.PackedTransposed(), h.Gradient);
            if (b.Gradient is not null)
            {
                backend.MatMulBackwardWeight(y.Gradient, h.Value, b.Gradient);
            }

            // h = scale * x A^T
            backend.Scale(scale, h.Gradient);
            if (x.Gradient is not null)
            {
                backend.MatMulBackwardInput(h.Gradient, a.PackedTransposed(), x.Gradient);
            }

            if (a.Gradient is not null)
            {
                backend.MatMulBackwardWeight(h.Gradient, x.Value, a.Gradient);
            }
        });
    }

    /// <summary>RMSNorm with gain [1, D].</summary>
    public Variable RmsNorm(Variable x, Parameter gain, float epsilon)
    {
        var y = Empty(x.Value.Rows, x.Value.Columns, x.Gradient is not null || gain.Gradient is not null);
        backend.RmsNorm(x.Value, gain.Value, epsilon, y.Value);
        if (Recording && y.Gradient is not null)
        {
            var dX = x.Gradient ?? _arena.RentZeroed(x.Value.Rows, x.Value.Columns);
            _backward.Add(() =>
                backend.RmsNormBackward(x.Value, gain.Value, epsilon, y.Gradient, dX, gain.Gradient));
        }

        return y;
    }

    /// <summary>Rotary positions, in place.</summary>
    public void Rope(Variable x, RopeTable table, int[] positions)
    {
        backend.Rope(table, positions, x.Value);
        if (Recording && x.Gradient is not null)
        {
            _backward.Add(() => backend.RopeBackward(table, positions, x.Gradient));
        }
    }

    /// <summary>Attention of q [R, H * K] over the cache and own keys and values [R, G * K].</summary>
    public Variable Attention(
        Variable q, Variable keys, Variable values, CachedKeys cache, Visibility visibility, HeadShape heads)
    {
        var y = Empty(q.Value.Rows, q.Value.Columns, q.Gradient is not null);
        backend.Attention(q.Value, keys.Value, values.Value, cache, visibility, heads, y.Value);
        if (Recording && y.Gradient is not null)
        {
            _backward.Add(() => backend.AttentionBackward(
                q.Value, keys.Value, values.Value, cache, visibility, heads, y.Gradient, q.Gradient!,
                keys.Gradient!, values.Gradient!));
        }

        return y;
    }

    /// <summary>silu(gate) * up.</summary>
    public Variable SwiGlu(Variable gate, Variable up)
    {
        var y = Empty(gate.Value.Rows, gate.Value.Columns, gate.Gradient is not null);
        backend.SwiGlu(gate.Value, up.Value, y.Value);
        if (Recording && y.Gradient is not null)
        {
            _backward.Add(() =>
                backend.SwiGluBackward(gate.Value, up.Value, y.Gradient, gate.Gradient!, up.Gradient!));
        }

        return y;
    }

    /// <summary>a + b.</summary>
    public Variable Add(Variable a, Variable b)
    {
        var y = Empty(a.Value.Rows, a.Value.Columns, a.Gradient is not null || b.Gradient is not null);
        backend.Add(a.Value, b.Value, y.Value);
        if (Recording && y.Gradient is not null)
        {
            _backward.Add(() =>
            {
                if (a.Gradient is not null)
                {
                    backend.AddScaled(y.Gradient, 1f, a.Gradient);
                }

                if (b.Gradient is not null)
                {
                    backend.AddScaled(y.Gradient, 1f, b.Gradient);
                }
            });
        }

        return y;
    }

    /// <summary>Weighted sum of -log softmax(logits)[target]; if recorded, logits become their own gradient.</summary>
    public double CrossEntropy(Variable logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights) =>
        Loss(logits, backend.CrossEntropy(logits.Value, targets, weights, Recording));

    /// <summary>Weighted sum of sum_v softplus(x_v) - x_target; if recorded, logits become their own gradient.</summary>
    public double BinaryCrossEntropy(Variable logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights) =>
        Loss(logits, backend.BinaryCrossEntropy(logits.Value, targets, weights, Recording));

    /// <summary>Weighted sum of KL(softmax(scale * teacher) || softmax(scale * logits)); if recorded, logits become their own gradient.</summary>
    public double Divergence(Variable logits, Tensor teacher, float scale, ReadOnlySpan<float> weights) =>
        Loss(logits, backend.Divergence(logits.Value, teacher, scale, weights, Recording));

    /// <summary>Weighted sum of KL(softmax(scale * logits) || softmax(scale * teacher)); if recorded, logits become their own gradient.</summary>
    public double ReverseDivergence(Variable logits, Tensor teacher, float scale, ReadOnlySpan<float> weights) =>
        Loss(logits, backend.ReverseDivergence(logits.Value, teacher, scale, weights, Recording));

    private double Loss(Variable logits, double loss)
    {
        if (Recording)
        {
            logits.Gradient = logits.Value;
        }

        return loss;
    }
}
