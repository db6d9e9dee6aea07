// The contract's losses: cross-entropy, forward and reverse divergence, binary cross-entropy, each with its gradient in place,
// against the oracle in double, with and without row weights and ignored targets.
// Not here: what a backend refuses, see BackendContract.

using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Backends;

public abstract partial class BackendContract
{
    [Fact]
    public void CrossEntropy_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var logits = Normal(random, rows * width, random.Next(2) == 0 ? 1 : 100);
        var targets = Ids(random, rows, width);
        var weights = random.Next(2) == 0 ? [] : Normal(random, rows).Select(MathF.Abs).ToArray();
        for (var row = 1; row < rows; row++)
        {
            targets[row] = random.Next(4) == 0 ? -1 : targets[row];
        }

        // The oracle takes the mean, the backend the sum.
        var scalarTargets = Array.ConvertAll(targets, t => t < 0 ? ScalarOps.Ignored : t);
        var scalarWeights = weights.Length == 0 ? null : Doubles(weights);
        var total = targets.Select((t, row) => t < 0 ? 0 : scalarWeights?[row] ?? 1).Sum();
        var expected = total * ScalarOps.CrossEntropy(Doubles(logits), scalarTargets, scalarWeights, width);
        var expectedGradient = new double[logits.Length];
        ScalarOps.CrossEntropyBackward(
            total, Doubles(logits), scalarTargets, scalarWeights, width, expectedGradient);

        var tensor = Put(logits, rows, width);
        Assert.InRange(Backend.CrossEntropy(tensor, targets, weights, false) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Assert.Equal(logits, Get(tensor));
        Assert.InRange(Backend.CrossEntropy(tensor, targets, weights, true) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Near.Holds("dLogits", expectedGradient, Get(tensor));
    });

    [Fact]
    public void Divergence_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width, scale) = (Rows(random), Width(random), 0.5f + (float)random.NextDouble());
        var (logits, teacher) = (Normal(random, rows * width, 3), Normal(random, rows * width, 3));
        var weights = random.Next(2) == 0 ? [] : Normal(random, rows).Select(MathF.Abs).ToArray();
        double[] scalarWeights = weights.Length == 0 ? [.. Enumerable.Repeat(1.0, rows)] : Doubles(weights);
        var expected = ScalarOps.Divergence(Doubles(logits), Doubles(teacher), scale, scalarWeights, width);
        var gradient = new double[logits.Length];
        ScalarOps.DivergenceBackward(1, Doubles(logits), Doubles(teacher), scale, scalarWeights, width, gradient);

        var (tensor, constant) = (Put(logits, rows, width), Put(teacher, rows, width));
        Assert.InRange(Backend.Divergence(tensor, constant, scale, weights, false) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Assert.Equal(logits, Get(tensor));
        Assert.InRange(Backend.Divergence(tensor, constant, scale, weights, true) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Near.Holds("dLogits", gradient, Get(tensor));
        Assert.Equal(teacher, Get(constant));
    });

    [Fact]
    public void Reverse_divergence_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width, scale) = (Rows(random), Width(random), 0.5f + (float)random.NextDouble());
        var (logits, teacher) = (Normal(random, rows * width, 3), Normal(random, rows * width, 3));
        var weights = random.Next(2) == 0 ? [] : Normal(random, rows).Select(MathF.Abs).ToArray();
        double[] scalarWeights = weights.Length == 0 ? [.. Enumerable.Repeat(1.0, rows)] : Doubles(weights);
        var expected = ScalarOps.ReverseDivergence(Doubles(logits), Doubles(teacher), scale, scalarWeights, width);
        var gradient = new double[logits.Length];
        ScalarOps.ReverseDivergenceBackward(1, Doubles(logits), Doubles(teacher), scale, scalarWeights, width, gradient);

        var (tensor, constant) = (Put(logits, rows, width), Put(teacher, rows, width));
        Assert.InRange(Backend.ReverseDivergence(tensor, constant, scale, weights, false) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Assert.Equal(logits, Get(tensor));
        Assert.InRange(Backend.ReverseDivergence(tensor, constant, scale, weights, true) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Near.Holds("dLogits", gradient, Get(tensor));
        Assert.Equal(teacher, Get(constant));
    });

    [Fact]
    public void Binary_cross_entropy_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var logits = Normal(random, rows * width, random.Next(2) == 0 ? 1 : 100);
        var targets = Ids(random, rows, width);
        var weights = random.Next(2) == 0 ? [] : Normal(random, rows).Select(MathF.Abs).ToArray();
        double[] scalarWeights = weights.Length == 0 ? [.. Enumerable.Repeat(1.0, rows)] : Doubles(weights);
        for (var row = 1; row < rows; row++)
        {
            targets[row] = random.Next(4) == 0 ? -1 : targets[row];
        }

        var scalarTargets = Array.ConvertAll(targets, t => t < 0 ? ScalarOps.Ignored : t);
        var expected = ScalarOps.BinaryCrossEntropy(Doubles(logits), scalarTargets, scalarWeights, width);
        var gradient = new double[logits.Length];
        ScalarOps.BinaryCrossEntropyBackward(1, Doubles(logits), scalarTargets, scalarWeights, width, gradient);

        var tensor = Put(logits, rows, width);
        Assert.InRange(Backend.BinaryCrossEntropy(tensor, targets, weights, false) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Assert.Equal(logits, Get(tensor));
        Assert.InRange(Backend.BinaryCrossEntropy(tensor, targets, weights, true) - expected, -1e-4 * (1 + expected), 1e-4 * (1 + expected));
        Near.Holds("dLogits", gradient, Get(tensor));
    });
}
