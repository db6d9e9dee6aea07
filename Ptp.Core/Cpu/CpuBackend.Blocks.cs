// The ops between the matrix products on the CPU: norms, RoPE, attention, SwiGLU, softmax, cross-entropy, AdamW.
// Each splits its rows (or, for a sum over rows, its columns) over the pool; equations are in IBackend.
// Refuses: what the kernels refuse; shapes are checked here and trusted below.

using Ptp.Core.Tensors;

namespace Ptp.Core.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <inheritdoc/>
    public void RmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y)
    {
        Same(x, y);
        Shape(gain, 1, x.Columns);
        var job = new RowKernels.Norm
        {
            X = x.Pointer,
            Gain = gain.Pointer,
            Y = y.Pointer,
            Rows = x.Rows,
            Columns = x.Columns,
            Epsilon = epsilon,
        };
        RowKernels.RmsNorm(&job, _pool);
    }

    /// <inheritdoc/>
    public void RmsNormBackward(Tensor x, Tensor gain, float epsilon, Tensor dY, Tensor dX, Tensor? dGain)
    {
        Same(x, dY);
        Same(x, dX);
        Shape(gain, 1, x.Columns);
        var job = new RowKernels.Norm
        {
            X = x.Pointer,
            Gain = gain.Pointer,
            Y = dY.Pointer,
            DX = dX.Pointer,
            Rows = x.Rows,
            Columns = x.Columns,
            Epsilon = epsilon,
            DGain = dGain is null ? null : dGain.Pointer,
        };
        RowKernels.RmsNormBackward(&job, _pool);
    }

    /// <inheritdoc/>
    public void Rope(RopeTable table, ReadOnlySpan<int> positions, Tensor x) => Turn(table, positions, x, 1f);

    /// <inheritdoc/>
    public void RopeBackward(RopeTable table, ReadOnlySpan<int> positions, Tensor dX) =>
        Turn(table, positions, dX, -1f);

    /// <inheritdoc/>
    public void Attention(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor output)
    {
        Same(q, output);
        Attend(q, keys, values, cache, visibility, heads, output, null, null, null, null);
    }

    /// <inheritdoc/>
    public void AttentionBackward(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor dOutput,
        Tensor dQ, Tensor dKeys, Tensor dValues)
    {
        Same(q, dOutput);
        Same(q, dQ);
        Same(keys, dKeys);
        Same(values, dValues);
        Attend(q, keys, values, cache, visibility, heads, null, dOutput, dQ, dKeys, dValues);
    }

    /// <inheritdoc/>
    public void SwiGlu(Tensor gate, Tensor up, Tensor y)
    {
        Same(gate, up);
        Same(gate, y);
        var job = new GateKernels.Call { A = gate.Pointer, B = up.Pointer, Y = y.Pointer, Length = gate.Length };
        GateKernels.Forward(&job, _pool);
    }

    /// <inheritdoc/>
    public void SwiGluBackward(Tensor gate, Tensor up, Tensor dY, bool accumulate, Tensor dGate, Tensor dUp)
    {
        Same(gate, up);
        Same(gate, dY);
        Same(gate, dGate);
        Same(gate, dUp);
        var job = new GateKernels.Call
        {
            A = gate.Pointer,
            B = up.Pointer,
            Y = dY.Pointer,
            DA = dGate.Pointer,
            DB = dUp.Pointer,
            Length = gate.Length,
            Accumulate = accumulate,
        };
        GateKernels.Backward(&job, _pool);
    }

    /// <inheritdoc/>
    public void Softmax(Tensor x, Tensor y)
    {
        Copy(x, y);
        for (var row = 0; row < y.Rows; row++)
        {
            Cpu.Softmax.InPlace(y.Pointer + (nint)row * y.Columns, y.Columns, 1f);
        }
    }

    /// <inheritdoc/>
    public double CrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient) =>
        CrossEntropy(&RowKernels.CrossEntropy, logits, targets, weights, gradient);

    /// <inheritdoc/>
    public double BinaryCrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient) =>
        CrossEntropy(&RowKernels.BinaryCrossEntropy, logits, targets, weights, gradient);

    private double CrossEntropy(
        delegate*<RowKernels.Loss*, CpuPool, void> kernel, Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights,
        bool gradient)
    {
        Same(logits.Rows, targets.Length);
        Same(weights.IsEmpty ? targets.Length : weights.Length, targets.Length);
        foreach (var target in targets)
        {
            Guard.Require(target < logits.Columns, "Compute a cross-entropy", $"target {target}",
                $"an id below {logits.Columns}, or a negative one to ignore the row", "Check the targets.");
        }

        fixed (int* target = targets)
        fixed (float* weight = weights)
        {
            return Loss(kernel, new RowKernels.Loss
            {
                Logits = logits.Pointer,
                Targets = target,
                Weights = weight,
                Rows = logits.Rows,
                Columns = logits.Columns,
                Gradient = gradient,
            });
        }
    }

    /// <inheritdoc/>
    public double Divergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        Divergence(&RowKernels.Divergence, logits, teacher, scale, weights, gradient);

    /// <inheritdoc/>
    public double ReverseDivergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        Divergence(&RowKernels.ReverseDivergence, logits, teacher, scale, weights, gradient);

    private double Divergence(
        delegate*<RowKernels.Loss*, CpuPool, void> kernel, Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights,
        bool gradient)
    {
        Same(logits, teacher);
        Same(weights.IsEmpty ? logits.Rows : weights.Length, logits.Rows);
        fixed (float* weight = weights)
        {
            return Loss(kernel, new RowKernels.Loss
            {
                Logits = logits.Pointer,
                Teacher = teacher.Pointer,
                Scale = scale,
                Weights = weight,
                Rows = logits.Rows,
                Columns = logits.Columns,
                Gradient = gradient,
            });
        }
    }

    /// <summary>Runs a loss and adds its rows in order.</summary>
    private double Loss(delegate*<RowKernels.Loss*, CpuPool, void> kernel, RowKernels.Loss job)
    {
        job.Losses = (double*)Scratch.Second(2 * job.Rows); // the kernels' own scratch is the first
        kernel(&job, _pool);
        var sum = 0.0;
        for (var row = 0; row < job.Rows; row++)
        {
            sum += job.Losses[row];
        }

        return sum;
    }

    /// <inheritdoc/>
    public void AdamW(Tensor gradient, AdamWStep step, Tensor m, Tensor v, Tensor parameter)
    {
        Same(gradient, parameter);
        Same(m, parameter);
        Same(v, parameter);
        var job = new RowKernels.Optimiser
        {
            Gradient = gradient.Pointer,
            M = m.Pointer,
            V = v.Pointer,
            Parameter = parameter.Pointer,
            Length = parameter.Length,
            Step = step,
        };
        RowKernels.AdamW(&job, _pool);
    }

    private void Turn(RopeTable table, ReadOnlySpan<int> positions, Tensor x, float direction)
    {
        Same(positions.Length, x.Rows);
        var half = table.Cosine.Columns;
        Guard.Require(x.Columns % (2 * half) == 0, "Rope", $"{x}", $"rows of whole heads of {2 * half}",
            "Check the head size.");
        foreach (var position in positions)
        {
            Guard.Require((uint)position < (uint)table.Cosine.Rows, "Rope", $"position {position}",
                $"a position below {table.Cosine.Rows}", "Shorten the text, or use a model with a longer context.");
        }

        fixed (int* position = positions)
        {
            var job = new RowKernels.Turn
            {
                X = x.Pointer,
                Cosine = table.Cosine.Pointer,
                Sine = table.Sine.Pointer,
                Positions = position,
                Rows = x.Rows,
                Columns = x.Columns,
                Half = half,
                Direction = direction,
            };
            RowKernels.Rope(&job, _pool);
        }
    }

    private void Attend(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor? output,
        Tensor? dOutput, Tensor? dQ, Tensor? dKeys, Tensor? dValues)
    {
        var width = heads.KeyValueHeads * heads.HeadSize;
        Shape(q, keys.Rows, heads.Heads * heads.HeadSize);
        Shape(keys, q.Rows, width);
        Shape(values, q.Rows, width);
        var capacity = cache.Keys?.Rows ?? 0;
        if (cache.Keys is not null)
        {
            Shape(cache.Keys, capacity, width);
            Shape(cache.Values!, capacity, width);
        }

        visibility.Check(q.Rows, capacity);
        var maxKeys = 0;
        for (var row = 0; row < q.Rows; row++)
        {
            maxKeys = Math.Max(maxKeys, visibility.KeysOf(row));
        }

        fixed (int* cacheStart = visibility.CacheStart)
        fixed (int* cacheEnd = visibility.CacheEnd)
        fixed (int* rangeOffset = visibility.RangeOffset)
        fixed (int* rangeStart = visibility.RangeStart)
        fixed (int* rangeEnd = visibility.RangeEnd)
        {
            var call = new Attention.Call
            {
                Q = q.Pointer,
                Keys = keys.Pointer,
                Values = values.Pointer,
                CacheKeys = cache.Keys is null ? null : cache.Keys.Pointer,
                CacheValues = cache.Values is null ? null : cache.Values.Pointer,
                CacheStart = cacheStart,
                CacheEnd = cacheEnd,
                RangeOffset = rangeOffset,
                RangeStart = rangeStart,
                RangeEnd = rangeEnd,
                Rows = q.Rows,
                Heads = heads.Heads,
                KeyValueHeads = heads.KeyValueHeads,
                HeadSize = heads.HeadSize,
                MaxKeys = maxKeys,
            };
            if (output is not null)
            {
                call.Output = output.Pointer;
                Cpu.Attention.Forward(&call, _pool);
                return;
            }

            call.DOutput = dOutput!.Pointer;
            call.DQ = dQ!.Pointer;
            call.DKeys = dKeys!.Pointer;
            call.DValues = dValues!.Pointer;
            Cpu.Attention.Backward(&call, _pool);
        }
    }
}
