// Records the ops of one pass and replays them backwards: reverse-mode differentiation over the backend contract.
// Each method is one op: forward now, its backward (equations in IBackend) recorded beneath. A recorded op is a struct of operands
// and a static function, so that a pass allocates nothing once passes have reached their size.
// Refuses: graphs that outlive Reset; in-place ops other than RoPE and the low-rank addition.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

/// <summary>One pass over a backend, in memory that Reset takes back.</summary>
public sealed partial class Tape(IBackend backend)
{
    private const int LossRows = 512; // whole blocks of a product's sum over rows, so that the parts leave the bits of dW as they are
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

    /// <summary>A variable [rows, columns] to be written by ops; the first gradient that reaches it is written, further ones are added.</summary>
    public Variable Empty(int rows, int columns, bool needsGradient = true) => Make(
        _arena.Rent(rows, columns), Recording && needsGradient ? _arena.Rent(rows, columns) : null, unwritten: true);

    /// <summary>A constant copied from host memory.</summary>
    public Variable Constant(ReadOnlySpan<float> values, int rows, int columns)
    {
        var tensor = _arena.Rent(rows, columns);
        backend.Upload(values, tensor);
        return Make(tensor, null, unwritten: false);
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
                tape.Backend.EmbeddingBackward(tape.Whole(s.Y), tape.Kept(s.Numbers), s.Weight.Gradient!));
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
        RecordMatMul(x, weight, y);
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
                    s.X.Value, s.Weight.Value, s.Scale, tape.Whole(s.Y), tape.WholeOrSpare(s.X), s.Weight.Gradient));
        }

        return y;
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
                s.X.Value, s.Z.Value, s.Values.Value, s.Cache, s.Visibility, s.Heads, tape.Whole(s.Y), tape.Whole(s.X),
                tape.Whole(s.Z), tape.Whole(s.Values)));
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
            Record(new Step { X = gate, Z = up, Y = y }, static (tape, in s) =>
            {
                var accumulate = !(s.X.Unwritten && s.Z.Unwritten);
                var (dGate, dUp) = accumulate ? (tape.Whole(s.X), tape.Whole(s.Z)) : (Tape.Written(s.X), Tape.Written(s.Z));
                tape.Backend.SwiGluBackward(s.X.Value, s.Z.Value, tape.Whole(s.Y), accumulate, dGate, dUp);
            });
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
                tape.Pass(tape.Whole(s.Y), s.X);
                tape.Pass(tape.Whole(s.Y), s.Z);
            });
        }

        return y;
    }

    /// <summary>Parts [R_i, C] one below the other, [sum R_i, C].</summary>
    public Variable Stack(params ReadOnlySpan<Variable> parts)
    {
        var (rows, needsGradient) = (0, false);
        foreach (var part in parts)
        {
            rows += part.Value.Rows;
            needsGradient |= part.Gradient is not null;
        }

        var y = Empty(rows, parts[0].Value.Columns, needsGradient);
        var start = 0;
        foreach (var part in parts)
        {
            var place = y.Slice(start, part.Value.Rows);
            backend.Copy(part.Value, place.Value);
            start += part.Value.Rows;
            if (Records(place) && part.Gradient is not null)
            {
                Record(new Step { X = part, Y = place }, static (tape, in s) => tape.Pass(tape.Whole(s.Y), s.X));
            }
        }

        return y;
    }

    /// <summary>
    /// Weighted sum of -log softmax(x W^T)[target], some rows at a time: logits of all rows, [R, V], never stand in memory together.
    /// If recorded, the gradients of x and W are taken at once.
    /// </summary>
    /// <param name="x">Normed hidden states, [R, D].</param>
    /// <param name="head">W, [V, D].</param>
    /// <param name="targets">Ids, [R]; negative = ignored.</param>
    /// <param name="weights">Row weights, [R]; empty = all one.</param>
    public double CrossEntropy(Variable x, Parameter head, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights)
    {
        var rows = x.Value.Rows;
        Guard.Require(targets.Length == rows, "Compute a cross-entropy", $"{targets.Length} targets", $"{rows}, one per row", "Check the targets.");
        var logits = _arena.Rent(Math.Min(rows, LossRows), head.Value.Rows);
        var loss = 0.0;
        for (var start = 0; start < rows; start += LossRows)
        {
            var count = Math.Min(LossRows, rows - start);
            var (part, y) = (x.Slice(start, count), logits.Slice(0, count));
            backend.MatMul(part.Value, head.Packed(), false, y);
            loss += backend.CrossEntropy(y, targets.Slice(start, count), weights.IsEmpty ? [] : weights.Slice(start, count), Recording);
            if (Recording)
            {
                MatMulBackward(part, head, y); // the logits have become their own gradient
            }
        }

        return loss;
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

    internal Variable Make(Tensor value, Tensor? gradient, bool unwritten)
    {
        if (_made == _variables.Count)
        {
            _variables.Add(new Variable(this));
        }

        return _variables[_made++].Set(value, gradient, unwritten);
    }

    /// <summary>The gradient of a variable to be read or added to: zero if nothing was written yet.</summary>
    internal Tensor Whole(Variable x)
    {
        if (x.Unwritten)
        {
            backend.Fill(0f, Written(x));
        }

        return x.Gradient!;
    }

    /// <summary>The same, or, for a variable that needs none, memory for what an op cannot leave out.</summary>
    private Tensor WholeOrSpare(Variable x) =>
        x.Gradient is null ? _arena.RentZeroed(x.Value.Rows, x.Value.Columns) : Whole(x);

    /// <summary>The gradient of a variable about to be written.</summary>
    private static Tensor Written(Variable x)
    {
        x.Unwritten = false;
        return x.Gradient!;
    }

    /// <summary>Hands a gradient on unchanged.</summary>
    private void Pass(Tensor gradient, Variable to)
    {
        if (to.Gradient is null)
        {
            return;
        }

        if (to.Unwritten)
        {
            backend.Copy(gradient, Written(to));
        }
        else
        {
            backend.AddScaled(gradient, 1f, to.Gradient);
        }
    }

    private double Loss(Variable logits, double loss)
    {
        if (Recording)
        {
            (logits.Gradient, logits.Unwritten) = (logits.Value, false);
        }

        return loss;
    }

    /// <summary>y = x W^T  =>  dX += dY W, dW += dY^T x.</summary>
    private void MatMulBackward(Variable x, Parameter weight, Tensor dY)
    {
        if (x.Gradient is not null)
        {
            var accumulate = !x.Unwritten;
            backend.MatMulBackwardInput(dY, weight.PackedTransposed(), accumulate, Written(x));
        }

        if (weight.Gradient is not null)
        {
            backend.MatMulBackwardWeight(dY, x.Value, weight.Gradient);
        }
    }

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
        public MonotoneMap Map;
        public Tensor Mask;
    }
}
