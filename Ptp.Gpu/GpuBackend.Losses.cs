// Softmax and the losses on the device: a group of threads per row where there are groups, else one thread.
// What needs double, the logarithms and the sum over rows, is finished on the host. See IBackend for the equations.
// Refuses: what GpuBackend refuses; shapes are checked here and trusted by the kernels.

using ILGPU;
using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public void Softmax(Tensor x, Tensor y)
    {
        Same(x, y);
        RunRows(x.Rows, new SoftmaxGroupKernel { X = View(x), Y = View(y), Columns = x.Columns }, new SoftmaxKernel { X = View(x), Y = View(y), Columns = x.Columns });
    }

    /// <inheritdoc/>
    public double CrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient)
    {
        CheckTargets(logits, targets, weights);
        var (rowWeights, onDevice) = RowWeights(weights, targets.Length);
        var results = _scope.Floats(1, CrossEntropyKernel.Parts * targets.Length);
        var call = new CrossEntropyKernel
        {
            X = View(logits),
            Weights = onDevice,
            Results = results,
            Targets = _scope.Ints(targets),
            Columns = logits.Columns,
            Gradient = gradient ? 1 : 0,
        };
        RunRows(logits.Rows, new CrossEntropyGroupKernel { Call = call }, call);

        var parts = new float[CrossEntropyKernel.Parts * targets.Length];
        _scope.Download(results, parts);

        // L = log sum_j exp(x_j) - x_t = log sum_j exp(x_j - max) + max - x_t
        var loss = 0.0;
        for (var row = 0; row < targets.Length; row++)
        {
            if (targets[row] >= 0 && rowWeights[row] != 0f)
            {
                var part = parts.AsSpan(CrossEntropyKernel.Parts * row, CrossEntropyKernel.Parts);
                loss += rowWeights[row] * (Math.Log(part[2]) + part[1] - part[0]);
            }
        }

        return loss;
    }

    /// <inheritdoc/>
    public double Divergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        Divergence(logits, teacher, scale, weights, gradient, reverse: false);

    /// <inheritdoc/>
    public double ReverseDivergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        Divergence(logits, teacher, scale, weights, gradient, reverse: true);

    private double Divergence(
        Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient, bool reverse)
    {
        Same(logits, teacher);
        Same(weights.IsEmpty ? logits.Rows : weights.Length, logits.Rows);
        var (rowWeights, onDevice) = RowWeights(weights, logits.Rows);
        var results = _scope.Floats(1, DivergenceKernel.Parts * logits.Rows);
        var call = new DivergenceKernel
        {
            X = View(logits),
            Teacher = View(teacher),
            Weights = onDevice,
            Results = results,
            Scale = scale,
            Columns = logits.Columns,
            Gradient = gradient ? 1 : 0,
            Reverse = reverse ? 1 : 0,
        };
        RunRows(logits.Rows, new DivergenceGroupKernel { Call = call }, call);

        var parts = new float[DivergenceKernel.Parts * logits.Rows];
        _scope.Download(results, parts);
        var loss = 0.0;
        for (var row = 0; row < logits.Rows; row++)
        {
            // sum of a law times the logits' gap, maximum and sum of exponentials of the law on the left, then of the other.
            var part = parts.AsSpan(DivergenceKernel.Parts * row, DivergenceKernel.Parts);
            var (max, sum, otherMax, otherSum) = reverse ? (part[3], part[4], part[1], part[2]) : (part[1], part[2], part[3], part[4]);
            loss += rowWeights[row] * (scale * (part[0] / sum + otherMax - max) + Math.Log(otherSum) - Math.Log(sum));
        }

        return loss;
    }

    /// <inheritdoc/>
    public double BinaryCrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient)
    {
        CheckTargets(logits, targets, weights);
        var (rowWeights, onDevice) = RowWeights(weights, logits.Rows);
        var results = _scope.Floats(1, logits.Rows);
        Run(logits.Rows, new BinaryCrossEntropyKernel
        {
            X = View(logits),
            Targets = _scope.Ints(targets),
            Weights = onDevice,
            Results = results,
            Columns = logits.Columns,
            Gradient = gradient ? 1 : 0,
        });
        var losses = new float[logits.Rows];
        _scope.Download(results, losses);
        return losses.Zip(rowWeights).Sum(row => (double)row.First * row.Second);
    }

    private static void CheckTargets(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights)
    {
        Same(logits.Rows, targets.Length);
        Same(weights.IsEmpty ? targets.Length : weights.Length, targets.Length);
        foreach (var target in targets)
        {
            Guard.Require(target < logits.Columns, "Compute a cross-entropy", $"target {target}",
                $"an id below {logits.Columns}, or a negative one to ignore the row", "Check the targets.");
        }
    }

    private (float[] Host, ArrayView<float> Device) RowWeights(ReadOnlySpan<float> weights, int rows)
    {
        var host = new float[rows];
        host.AsSpan().Fill(1f);
        weights.CopyTo(host);
        var device = _scope.Floats(0, rows);
        _scope.Upload(host, device);
        return (host, device);
    }

    private void RunRows<TGroup, TElement>(int rows, TGroup group, TElement element)
        where TGroup : struct, IGroupKernel
        where TElement : struct, IElementKernel
    {
        if (_scope.HasGroups)
        {
            RunGroups(rows, Together.Threads, group);
        }
        else
        {
            Run(rows, element);
        }
    }
}
