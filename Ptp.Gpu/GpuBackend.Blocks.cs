// The ops between the matrix products on the device: norms, RoPE, attention, SwiGLU, AdamW.
// The optimiser's corrections are computed on the host, in double.
// Refuses: what GpuBackend refuses; shapes are checked here and trusted by the kernels.

using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public void RmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y)
    {
        Same(x, y);
        Shape(gain, 1, x.Columns);
        if (_scope.HasGroups)
        {
            RunGroups(x.Rows, Together.Threads, new RmsNormGroupKernel
            {
                X = View(x),
                Gain = View(gain),
                Y = View(y),
                Columns = x.Columns,
                Epsilon = epsilon,
            });
            return;
        }

        var s = _scope.Floats(0, x.Rows);
        Run(x.Rows, new InverseRootKernel { X = View(x), S = s, Columns = x.Columns, Epsilon = epsilon });
        Run(x.Length, new RmsNormKernel { X = View(x), Gain = View(gain), S = s, Y = View(y), Columns = x.Columns });
    }

    /// <inheritdoc/>
    public void RmsNormBackward(Tensor x, Tensor gain, float epsilon, Tensor dY, Tensor dX, Tensor? dGain)
    {
        Same(x, dY);
        Same(x, dX);
        Shape(gain, 1, x.Columns);
        var s = _scope.Floats(0, x.Rows);
        if (_scope.HasGroups)
        {
            RunGroups(x.Rows, Together.Threads, new RmsNormBackwardGroupKernel
            {
                X = View(x),
                Gain = View(gain),
                S = s,
                DY = View(dY),
                DX = View(dX),
                Columns = x.Columns,
                Epsilon = epsilon,
            });
        }
        else
        {
            Run(x.Rows, new InverseRootKernel { X = View(x), S = s, Columns = x.Columns, Epsilon = epsilon });
            Run(x.Rows, new RmsNormBackwardKernel
            {
                X = View(x),
                Gain = View(gain),
                S = s,
                DY = View(dY),
                DX = View(dX),
                Columns = x.Columns,
            });
        }

        if (dGain is not null)
        {
            Same(gain, dGain);
            var runs = (x.Rows + RmsNormGainKernel.Run - 1) / RmsNormGainKernel.Run;
            var partial = _scope.Floats(1, runs * x.Columns);
            Run(runs * x.Columns, new RmsNormGainKernel
            {
                X = View(x),
                S = s,
                DY = View(dY),
                Partial = partial,
                Rows = x.Rows,
                Columns = x.Columns,
            });
            Run(x.Columns, new AddRowsKernel { X = partial, Y = View(dGain), Rows = runs, Columns = x.Columns });
        }
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
        var call = Call(q, keys, values, cache, visibility, heads);
        if (ByGroups(call, q, keys, values, cache, output))
        {
            RunGroups(q.Rows * heads.Heads, Together.Threads, new AttentionGroupKernel { Call = call, Output = View(output) });
        }
        else
        {
            Run(q.Rows * heads.Heads, new AttentionKernel { Call = call, Output = View(output) });
        }
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
        var call = Call(q, keys, values, cache, visibility, heads);
        var results = _scope.Floats(0, checked(q.Rows * heads.Heads * AttentionBackwardQueryKernel.Parts));
        var toQueries = new AttentionBackwardQueryKernel
        {
            Call = call,
            DOutput = View(dOutput),
            DQ = View(dQ),
            Results = results,
        };
        var toKeys = new AttentionBackwardKeyKernel
        {
            Call = call,
            DOutput = View(dOutput),
            Results = results,
            DKeys = View(dKeys),
            DValues = View(dValues),
            Rows = q.Rows,
        };
        if (ByGroups(call, q, keys, values, cache, dOutput))
        {
            RunGroups(q.Rows * heads.Heads, Together.Threads, new AttentionBackwardQueryGroupKernel { Call = toQueries });
            RunGroups(q.Rows * heads.KeyValueHeads, Together.Threads, new AttentionBackwardKeyGroupKernel { Call = toKeys });
        }
        else
        {
            Run(q.Rows * heads.Heads, toQueries);
            Run(q.Rows * heads.KeyValueHeads, toKeys);
        }
    }

    /// <inheritdoc/>
    public void SwiGlu(Tensor gate, Tensor up, Tensor y)
    {
        Same(gate, up);
        Same(gate, y);
        Run(y.Length, new SwiGluKernel { A = View(gate), B = View(up), Y = View(y) });
    }

    /// <inheritdoc/>
    public void SwiGluBackward(Tensor gate, Tensor up, Tensor dY, bool accumulate, Tensor dGate, Tensor dUp)
    {
        Same(gate, up);
        Same(gate, dY);
        Same(gate, dGate);
        Same(gate, dUp);
        Run(gate.Length, new SwiGluBackwardKernel
        {
            A = View(gate),
            B = View(up),
            DY = View(dY),
            DA = View(dGate),
            DB = View(dUp),
            Keep = accumulate ? 1f : 0f,
        });
    }

    /// <inheritdoc/>
    public void AdamW(Tensor gradient, AdamWStep step, Tensor m, Tensor v, Tensor parameter)
    {
        Same(gradient, parameter);
        Same(m, parameter);
        Same(v, parameter);
        Run(parameter.Length, new AdamWKernel
        {
            Gradient = View(gradient),
            M = View(m),
            V = View(v),
            Parameter = View(parameter),
            Beta1 = (float)step.Beta1,
            Beta2 = (float)step.Beta2,
            Rate = (float)(step.LearningRate / (1 - Math.Pow(step.Beta1, step.Step))),
            Root = (float)(1 / Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step))),
            Keep = (float)(1 - step.LearningRate * step.WeightDecay),
            Epsilon = (float)step.Epsilon,
            GradientScale = (float)step.GradientScale,
        });
    }

    private void Turn(RopeTable table, ReadOnlySpan<int> positions, Tensor x, float direction)
    {
        CheckTurn(table, positions, x);
        Run(x.Length / 2, new RopeKernel { Turn = TurnOf(table, positions, direction), X = View(x), PairsPerRow = x.Columns / 2 });
    }

    private static void CheckTurn(RopeTable table, ReadOnlySpan<int> positions, Tensor x)
    {
        Same(positions.Length, x.Rows, nameof(Rope));
        var half = table.Cosine.Columns;
        Guard.Require(x.Columns % (2 * half) == 0, nameof(Rope), $"{x}", $"rows of whole heads of {2 * half}",
            "Check the head size.");
        foreach (var position in positions)
        {
            Guard.Require((uint)position < (uint)table.Cosine.Rows, nameof(Rope), $"position {position}",
                $"a position below {table.Cosine.Rows}", "Shorten the text, or use a model with a longer context.");
        }
    }

    private RopeTurn TurnOf(RopeTable table, ReadOnlySpan<int> positions, float direction) => new()
    {
        Cosine = View(table.Cosine),
        Sine = View(table.Sine),
        Positions = _scope.Ints(positions),
        Half = table.Cosine.Columns,
        Direction = direction,
    };

    /// <summary>A matter of the model alone, so that all calls of one model take the same kernel.</summary>
    private bool ByGroups(AttentionCall call, Tensor q, Tensor keys, Tensor values, CachedKeys cache, Tensor output) =>
        _scope.HasGroups && call.HeadSize % 4 == 0 && call.HeadSize <= Together.Threads && q.Offset % 4 == 0 && keys.Offset % 4 == 0
        && values.Offset % 4 == 0 && output.Offset % 4 == 0 && (cache.Keys?.Offset ?? 0) % 4 == 0 && (cache.Values?.Offset ?? 0) % 4 == 0;

    private AttentionCall Call(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads)
    {
        const string Op = nameof(Attention);
        var width = heads.KeyValueHeads * heads.HeadSize;
        Shape(q, keys.Rows, heads.Heads * heads.HeadSize, Op);
        Shape(keys, q.Rows, width, Op);
        Shape(values, q.Rows, width, Op);
        var capacity = cache.Keys?.Rows ?? 0;
        if (cache.Keys is not null)
        {
            Shape(cache.Keys, capacity, width, Op);
            Shape(cache.Values!, capacity, width, Op);
        }

        visibility.Check(q.Rows, capacity);
        return new AttentionCall
        {
            Q = View(q),
            Keys = View(keys),
            Values = View(values),
            // Without a cache nothing reads these, but a kernel needs valid views.
            CacheKeys = View(cache.Keys ?? keys),
            CacheValues = View(cache.Values ?? values),
            CacheStart = _scope.Ints(visibility.CacheStart),
            CacheEnd = _scope.Ints(visibility.CacheEnd),
            RangeOffset = _scope.Ints(visibility.RangeOffset),
            RangeStart = _scope.Ints(visibility.RangeStart),
            RangeEnd = _scope.Ints(visibility.RangeEnd),
            Heads = heads.Heads,
            KeyValueHeads = heads.KeyValueHeads,
            HeadSize = heads.HeadSize,
            Scale = 1f / MathF.Sqrt(heads.HeadSize),
        };
    }
}
