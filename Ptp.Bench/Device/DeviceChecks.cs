// What must hold on a device before anybody looks at its speed, on generated cases: every rung of the product ladder has the same bits,
// a row has the same bits alone and among others, a whole model's loss and gradients are the CPU's to rounding, every decoder keeps the text.
// Refuses: to be satisfied by nothing; each check counts its cases.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Ptp.Reference.Commands;

namespace Ptp.Bench.Device;

/// <summary>What a check found.</summary>
/// <param name="Name">What was asked.</param>
/// <param name="Cases">Generated cases.</param>
/// <param name="Failures">One line per failure; empty = it holds.</param>
internal sealed record DeviceCheck(string Name, int Cases, IReadOnlyList<string> Failures);

/// <summary>All checks.</summary>
internal static class DeviceChecks
{
    private const double Rounding = 1e-3; // of the largest gradient: sums of hundreds of floats in another order

    /// <summary>Runs them.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="cases">Of products and of decoders; the others take a few of them.</param>
    /// <param name="seed">Of the first case.</param>
    public static IEnumerable<DeviceCheck> Run(GpuBackend gpu, int cases, ulong seed)
    {
        yield return Repeat("products: every rung and storage of weights has the bits of one thread per element", Math.Max(1, cases / 20), seed, random => Rungs(gpu, random));
        if (gpu.HasTensorCores)
        {
            foreach (var precision in (ProductPrecision[])[ProductPrecision.Tf32, ProductPrecision.BFloat16])
            {
                yield return Repeat($"tensor cores multiply what one thread per element does, rounded to {precision}", Math.Max(1, cases / 50), seed,
                    random => Tensors(gpu, precision, random));
            }
        }

        if (gpu.PicksOnDevice)
        {
            yield return Repeat("tokens chosen on the device are the host's", Math.Max(1, cases / 20), seed, random => Picks(gpu, random));
        }

        yield return Repeat("a row has the same bits alone and among others", Math.Max(1, cases / 50), seed, random => Rows(gpu, random));
        yield return Repeat("loss and gradients of a whole model are the CPU's to rounding", Math.Max(1, cases / 200), seed, random => Gradients(gpu, random));
        foreach (var family in (bool[])[false, true])
        {
            var report = ExactnessSoak.Run(seed, cases, family: family, device: gpu);
            yield return new DeviceCheck(
                family ? "every other system keeps its promise of the path" : "same u, same tokens, every drafter of PTP", report.Cases, report.Failures);
        }
    }

    private static DeviceCheck Repeat(string name, int cases, ulong seed, Func<RandomStream, string?> run)
    {
        var failures = new List<string>();
        for (var i = 0; i < cases; i++)
        {
            if (run(new RandomStream(seed + (ulong)i, name)) is { } failure)
            {
                failures.Add($"seed {seed + (ulong)i}: {failure}");
            }
        }

        return new DeviceCheck(name, cases, failures);
    }

    private static string? Rungs(GpuBackend gpu, RandomStream random)
    {
        var (rows, inputs, outputs) = (1 + random.NextInt(40), 4 * (1 + random.NextInt(60)), 4 * (1 + random.NextInt(60)));
        var (x, w, dY) = (Normal(gpu, random, rows, inputs), Normal(gpu, random, inputs, outputs), Normal(gpu, random, rows, outputs));

        // The same weights as they stand, which keeps floats, and turned round, which stores BF16 where all of them are.
        var numbers = Read(gpu, w);
        if (random.NextInt(2) == 0)
        {
            NumberFormats.RoundToBFloat16(numbers);
            gpu.Upload(numbers, w);
        }

        var turned = gpu.Allocate(outputs, inputs);
        gpu.Upload([.. Enumerable.Range(0, numbers.Length).Select(i => numbers[(i % inputs * outputs) + (i / inputs)])], turned);
        PackedMatrix[] packed = [gpu.Pack(w, transposed: true, null), gpu.Pack(turned, transposed: false, null)];
        float[]? first = null;
        try
        {
            foreach (var (rung, weights) in Enum.GetValues<ProductKernel>().Where(gpu.Has).SelectMany(rung => packed.Select(weights => (rung, weights))))
            {
                gpu.Product = rung;
                var (y, dW) = (gpu.Allocate(rows, outputs), gpu.Allocate(outputs, inputs));
                gpu.MatMul(x, weights, accumulate: false, y);
                gpu.MatMulBackwardWeight(dY, x, dW);
                float[] both = [.. Read(gpu, y), .. Read(gpu, dW)];
                if (!both.AsSpan().SequenceEqual(first ??= both))
                {
                    return $"{rung} differs at [{rows}, {inputs}] x [{outputs}, {inputs}]";
                }
            }
        }
        finally
        {
            gpu.Product = ProductKernel.Best;
        }

        return null;
    }

    private static string? Tensors(GpuBackend gpu, ProductPrecision precision, RandomStream random)
    {
        var (rows, inputs, outputs) = (1 + random.NextInt(300), 4 * (1 + random.NextInt(100)), 4 * (1 + random.NextInt(100)));
        var (x, dY) = (Normal(gpu, random, rows, inputs), Normal(gpu, random, rows, outputs));
        var packed = gpu.Pack(Normal(gpu, random, outputs, inputs), transposed: false, null);
        (float[] Y, float[] DW, float[] Last) Of(ProductKernel kernel)
        {
            (gpu.Precision, gpu.Product) = (precision, kernel);
            var (y, dW, last) = (gpu.Allocate(rows, outputs), gpu.Allocate(outputs, inputs), gpu.Allocate(1, outputs));
            gpu.MatMul(x, packed, accumulate: false, y);
            gpu.MatMulBackwardWeight(dY, x, dW);
            gpu.MatMul(x.Slice(rows - 1, 1), packed, accumulate: false, last);
            (gpu.Precision, gpu.Product) = (ProductPrecision.Single, ProductKernel.Best);
            return (Read(gpu, y), Read(gpu, dW), Read(gpu, last));
        }

        var (slow, fast) = (Of(ProductKernel.Elements), Of(ProductKernel.Best));
        return !Near(slow.Y, fast.Y) || !Near(slow.DW, fast.DW) ? $"[{rows}, {inputs}] x [{outputs}, {inputs}] differs by more than the order of sums"
            : !fast.Last.AsSpan().SequenceEqual(fast.Y.AsSpan()[^outputs..]) ? $"the last of {rows} rows differs from itself alone"
            : null;
    }

    private static string? Picks(GpuBackend gpu, RandomStream random)
    {
        var (rows, vocabulary) = (1 + random.NextInt(16), 2 + random.NextInt(5000));
        var law = new LogitsTransform(new SamplingOptions
        {
            Temperature = 0.1 + (0.5 * random.NextDouble()),
            TopK = random.NextInt(2) == 0 ? 0 : 1 + random.NextInt(60),
            TopP = random.NextInt(2) == 0 ? 1 : 0.5 + (0.49 * random.NextDouble()),
        }, vocabulary);
        var logits = Normal(gpu, random, rows, vocabulary);
        var (numbers, probabilities, tokens) = (Read(gpu, logits), new float[vocabulary], new int[rows]);
        float[] u = [.. Enumerable.Range(0, rows).Select(_ => random.NextInt(1 << 24) / (float)(1 << 24))];
        if (!gpu.TryPick(logits, law, u, tokens) || tokens.All(token => token < 0))
        {
            return $"none of {rows} rows of {vocabulary} was decided";
        }

        for (var row = 0; row < rows; row++)
        {
            law.ToLaw(numbers.AsSpan(row * vocabulary, vocabulary), probabilities);
            if (tokens[row] >= 0 && tokens[row] != Pick.Token(u[row], probabilities))
            {
                return $"row {row} of {rows}, {vocabulary} tokens, {law.Options}";
            }
        }

        return null;
    }

    private static bool Near(float[] a, float[] b)
    {
        var largest = a.Max(Math.Abs);
        return a.Zip(b).All(pair => Math.Abs(pair.First - pair.Second) <= 1e-4f * largest);
    }

    private static string? Rows(GpuBackend gpu, RandomStream random)
    {
        const int vocabulary = 64;
        var model = new Transformer(gpu, TransformerConfig.Named("66k", vocabulary), (ulong)random.NextInt(1 << 20));
        var length = 2 + random.NextInt(30);
        int[] ids = [.. Enumerable.Range(0, length).Select(_ => random.NextInt(vocabulary))];
        float[] Logits(KvCache cache, int count)
        {
            var tape = new Tape(gpu);
            int[] slots = [.. Enumerable.Range(cache.Length, count)];
            var rows = new CallRows(slots, Visibility.Causal(cache.Length, count), cache, slots);
            var logits = Read(gpu, model.Forward(tape, ids.AsSpan(cache.Length, count), rows).Value);
            cache.Append(count);
            return logits;
        }

        var expected = Logits(new KvCache(gpu, model.Config, length), length);
        var parts = new KvCache(gpu, model.Config, length);
        while (parts.Length < length)
        {
            var (at, count) = (parts.Length, Math.Min(length - parts.Length, 1 + random.NextInt(5)));
            if (!Logits(parts, count).AsSpan().SequenceEqual(expected.AsSpan(at * vocabulary, count * vocabulary)))
            {
                return $"rows {at} to {at + count - 1} of {length} differ";
            }
        }

        return null;
    }

    private static string? Gradients(GpuBackend gpu, RandomStream random)
    {
        using var cpu = new CpuBackend(1);
        var seed = (ulong)random.NextInt(1 << 20);
        int[] ids = [.. Enumerable.Range(0, 24).Select(_ => random.NextInt(64))];
        var (loss, gradients) = Backward(cpu, seed, ids);
        var (found, theirs) = Backward(gpu, seed, ids);
        if (Math.Abs(loss - found) > 1e-4 * Math.Abs(loss))
        {
            return $"loss {found}, on the CPU {loss}";
        }

        for (var i = 0; i < gradients.Length; i++)
        {
            var largest = gradients[i].Max(Math.Abs);
            var gap = gradients[i].Zip(theirs[i]).Max(pair => Math.Abs(pair.First - pair.Second));
            if (!(gap <= Rounding * largest))
            {
                return $"parameter {i}: gradients differ by {gap} of {largest}";
            }
        }

        return null;
    }

    private static (double Loss, float[][] Gradients) Backward(IBackend backend, ulong seed, int[] ids)
    {
        var model = new Transformer(backend, TransformerConfig.Named("66k", 64), seed);
        model.SetTrainable(true);
        var tape = new Tape(backend) { Recording = true };
        var rows = new CallRows([.. Enumerable.Range(0, ids.Length - 1)], Visibility.Causal(0, ids.Length - 1));
        var loss = model.CrossEntropy(tape, ids.AsSpan(0, ids.Length - 1), rows, ids.AsSpan(1));
        tape.Backward();
        return (loss, [.. model.Parameters.Select(p => Read(backend, p.Gradient!))]);
    }

    private static Tensor Normal(IBackend backend, RandomStream random, int rows, int columns)
    {
        var tensor = backend.Allocate(rows, columns);
        backend.Upload([.. Enumerable.Range(0, rows * columns).Select(_ => (float)random.NextGaussian())], tensor);
        return tensor;
    }

    private static float[] Read(IBackend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }
}
