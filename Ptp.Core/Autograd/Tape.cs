// Records the ops of one pass and replays them backwards: reverse-mode differentiation over the backend contract.
// Each method is one op: forward now, its backward (equations in IBackend) recorded beneath. A recorded op is a struct of operands
// and a static function, so that a pass allocates nothing once passes have reached their size.
// Refuses: graphs that outlive Reset; in-place ops other than RoPE and the low-rank addition.

using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

/// <summary>One pass over a backend, in memory that Reset takes back.</summary>
public sealed class Tape(IBackend backend)
{
    private readonly Arena _arena = new(backend);
    private readonly List<Variable> _variables = []; // of this pass and of longer ones before
    private int _made;
    private Step[] _steps = new Step[64];
    private int _recorded;
    private int[] _numbers = new int[1024]; // ids and positions of recorded ops
    private int _kept;

    private delegate void Backwards(Tape tape, in Step step);

    /// <summary>The device of this tape.</summary>
    public IBackend Backend => backend;

    /// <summary>True while ops are recorded for <see cref="Backward"/>; decoders leave it false.</summary>
    public bool Recording { get; set; }

    /// <summary>Floats that the tape's memory holds.</summary>
    public long Capacity => _arena.Capacity;

    /// <summary>Forgets the pass; every variable of it is dead.</summary>
    public void Reset()
    {
        (_made, _recorded, _kept) = (0, 0, 0);
        _arena.Reset();
    }

    /// <summary>Replays the recorded ops from last to first.</summary>
    public void Backward()
    {
        for (var i = _recorded - 1; i >= 0; i--)
        {
            _steps[i].Backward(this, _steps[i]);
        }
    }

    /// <summary>A variable [rows, columns] to be written by ops; its gradient starts at zero.</summary>
    public Variable Empty(int rows, int columns, bool needsGradient = true) => Make(
        _arena.Rent(rows, columns), Recording && needsGradient ? _arena.RentZeroed(rows, columns) : null);

    /// <summary>A constant copied from host memory.</summary>
    public Variable Constant(ReadOnlySpan<float> values, int rows, int columns)
    {
        var tensor = _arena.Rent(rows, columns);
        backend.Upload(values, tensor);
        return Make(tensor, null);
    }

    /// <summary>Rows of a tensor that is not of this pass, as a view that is.</summary>
    public Tensor View(Tensor tensor, int start, int count) => _arena.View(tensor, start, count);

    /// <summary>Rows of the table [V, D] by id, written to <paramref name="output"/> [R, D].</summary>
    public void Embedding(Parameter table, ReadOnlySpan<int> ids, Variable output)
    {
        backend.Embedding(table.Value, ids, output.Value);
        if (Records(output) && table.Gradient is not null)
        {
            Record(new Step { Y = output, Weight = table, Numbers = Keep(ids) }, static (tape, in s) =>
                tape.Backend.EmbeddingBackward(s.Y.Gradient!, tape.Kept(s.Numbers), s.Weight.Gradient!));
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
        if (Records(y))
        {
            Record(new Step { X = x, Y = y, Weight = weight }, static (tape, in s) => tape.MatMulBackward(s.X, s.Weight, s.Y));
        }
    }

    /// <summary>y += scale * (x A^T) B^T in place; A [r, K], B [N, r]. The addition of gated LoRA.</summary>
    public void AddLowRank(Variable x, Parameter a, Parameter b, float scale, Variable y)
    {
        var h = Empty(x.Value.Rows, a.Value.Rows);
        backend.MatMul(x.Value, a.Packed(), false, h.Value);
        backend.Scale(scale, h.Value);
        backend.MatMul(h.Value, b.Packed(), true, y.Value);
        if (Records(y))
        {
            Record(new Step { X = x, Z = h, Y = y, Weight = a, Second = b, Scale = scale }, static (tape, in s) =>
            {
                tape.MatMulBackward(s.Z, s.Second, s.Y); // y += h B^T
                tape.Backend.Scale(s.Scale, s.Z.Gradient!); // h = scale * x A^T
                tape.MatMulBackward(s.X, s.Weight, s.Z);
            });
        }
    }

    /// <summary>RMSNorm with gain [1, D].</summary>
    public Variable RmsNorm(Variable x, Parameter gain, float epsilon)
    {
        var y = Empty(x.Value.Rows, x.Value.Columns, x.Gradient is not null || gain.Gradient is not null);
        backend.RmsNorm(x.Value, gain.Value, epsilon, y.Value);
        if (Records(y))
        {
            Record(new Step { X = x, Y = y, Weight = gain, Scale = epsilon }, static (tape, in s) =>
                tape.Backend.RmsNormBackward(
                    s.X.Value, s.Weight.Value, s.Scale, s.Y.Gradient!, tape.GradientOf(s.X), s.Weight.Gradient));
        }

        return y;
    }

    /// <summary>Rotary positions, in place.</summary>
    public void Rope(Variable x, RopeTable table, ReadOnlySpan<int> positions)
    {
        backend.Rope(table, positions, x.Value);
        if (Records(x))
        {
            Record(new Step { Y = x, Rope = table, Numbers = Keep(positions) }, static (tape, in s) =>
                tape.Backend.RopeBackward(s.Rope, tape.Kept(s.Numbers), s.Y.Gradient!));
        }
    }

    /// <summary>Attention of q [R, H * K] over the cache and own keys and values [R, G * K].</summary>
    /// <remarks>A recorded call reads cache and visibility again in <see cref="Backward"/>; they must not change before.</remarks>
    public Variable Attention(
        Variable q, Variable keys, Variable values, CachedKeys cache, Visibility visibility, HeadShape heads)
    {
        var y = Empty(q.Value.Rows, q.Value.Columns, q.Gradient is not null);
        backend.Attention(q.Value, keys.Value, values.Value, cache, visibility, heads, y.Value);
        if (Records(y))
        {
            var step = new Step { X = q, Z = keys, Values = values, Y = y, Cache = cache, Visibility = visibility, Heads = heads };
            Record(step, static (tape, in s) => tape.Backend.AttentionBackward(
                s.X.Value, s.Z.Value, s.Values.Value, s.Cache, s.Visibility, s.Heads, s.Y.Gradient!, s.X.Gradient!,
                s.Z.Gradient!, s.Values.Gradient!));
        }

        return y;
    }

    /// <summary>silu(gate) * up.</summary>
    public Variable SwiGlu(Variable gate, Variable up)
    {
        var y = Empty(gate.Value.Rows, gate.Value.Columns, gate.Gradient is not null);
        backend.SwiGlu(gate.Value, up.Value, y.Value);
        if (Records(y))
        {
            Record(new Step { X = gate, Z = up, Y = y }, static (tape, in s) => tape.Backend.SwiGluBackward(
                s.X.Value, s.Z.Value, s.Y.Gradient!, s.X.Gradient!, s.Z.Gradient!));
        }

        return y;
    }

    /// <summary>a + b.</summary>
    public Variable Add(Variable a, Variable b)
    {
        var y = Empty(a.Value.Rows, a.Value.Columns, a.Gradient is not null || b.Gradient is not null);
        backend.Add(a.Value, b.Value, y.Value);
        if (Records(y))
        {
            Record(new Step { X = a, Z = b, Y = y }, static (tape, in s) =>
            {
                if (s.X.Gradient is { } dA)
                {
                    tape.Backend.AddScaled(s.Y.Gradient!, 1f, dA);
                }

                if (s.Z.Gradient is { } dB)
                {
                    tape.Backend.AddScaled(s.Y.Gradient!, 1f, dB);
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

    internal Variable Make(Tensor value, Tensor? gradient)
    {
        if (_made == _variables.Count)
        {
            _variables.Add(new Variable(this, value, gradient));
            return _variables[_made++];
        }

        return _variables[_made++].Set(value, gradient);
    }

    private double Loss(Variable logits, double loss)
    {
        if (Recording)
        {
            logits.Gradient = logits.Value;
        }

        return loss;
    }

    /// <summary>y = x W^T  =>  dX += dY W, dW += dY^T x.</summary>
    private void MatMulBackward(Variable x, Parameter weight, Variable y)
    {
        if (x.Gradient is not null)
        {
            backend.MatMulBackwardInput(y.Gradient!, weight.PackedTransposed(), x.Gradient);
        }

        if (weight.Gradient is not null)
        {
            backend.MatMulBackwardWeight(y.Gradient!, x.Value, weight.Gradient);
        }
    }

    /// <summary>Where a backward that always writes may write, wanted or not.</summary>
    private Tensor GradientOf(Variable x) => x.Gradient ?? _arena.RentZeroed(x.Value.Rows, x.Value.Columns);

    private bool Records(Variable y) => Recording && y.Gradient is not null;

    private void Record(in Step step, Backwards backward)
    {
        if (_recorded == _steps.Length)
        {
            Array.Resize(ref _steps, 2 * _recorded);
        }

        _steps[_recorded] = step;
        _steps[_recorded++].Backward = backward;
    }

    /// <summary>Copies ids or positions, so that their owner may use them anew before the pass runs backwards.</summary>
    private (int Start, int Count) Keep(ReadOnlySpan<int> numbers)
    {
        if (_kept + numbers.Length > _numbers.Length)
        {
            Array.Resize(ref _numbers, 2 * (_kept + numbers.Length));
        }

        numbers.CopyTo(_numbers.AsSpan(_kept));
        _kept += numbers.Length;
        return (_kept - numbers.Length, numbers.Length);
    }

    private ReadOnlySpan<int> Kept((int Start, int Count) numbers) => _numbers.AsSpan(numbers.Start, numbers.Count);

    /// <summary>A recorded op: those operands that it has, and what it does backwards.</summary>
    private struct Step
    {
        public Backwards Backward; // static, hence made once
        public Variable X; // inputs
        public Variable Z;
        public Variable Values;
        public Variable Y; // output
        public Parameter Weight;
        public Parameter Second;
        public (int Start, int Count) Numbers;
        public RopeTable Rope;
        public CachedKeys Cache;
        public Visibility Visibility;
        public HeadShape Heads;
        public float Scale;
    }
}
