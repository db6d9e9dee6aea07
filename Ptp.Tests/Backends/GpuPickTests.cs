// Tokens that a device picks from logits are the host's, bit for bit, or are left to it: generated logits with ties, forbidden tokens, top-k 1,
// extreme temperatures, and numbers next to the borders of cells. Source: Kernels/Picks.cs; the oracle is LogitsTransform and Pick.
// Control: cells in another order give other tokens. Not here: speed.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Ptp.Reference.Commands;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuPickTests
{
    private const float Grid = 1f / (1 << 24);

    [Fact]
    public void Tokens_of_the_device_are_those_of_the_host()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator) { PicksOnDevice = true };
        var (rows, undecided, turned) = (0, 0, 0);
        for (var seed = 0; seed < 14; seed++)
        {
            var found = Compare(gpu, seed, atBorders: false);
            Assert.True(found.Wrong == 0, $"seed {seed}: {found.Wrong} of {found.Count} tokens differ");
            (rows, undecided) = (rows + found.Count, undecided + found.Left);
            turned += seed < 5 ? Compare(gpu, seed, atBorders: false, turned: true).Wrong : 0;
        }

        Assert.InRange(undecided, 0, rows / 10); // mass of equal weights that ends where p says, and the like
        Assert.True(turned > 1, $"control: cells in the order of falling ids gave {turned} other tokens");
    }

    [Fact]
    public void Numbers_on_borders_and_next_to_them_are_left_to_the_host_or_right()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator) { PicksOnDevice = true };
        var (left, right) = (0, 0);
        for (var seed = 1000; seed < 1010; seed++)
        {
            var found = Compare(gpu, seed, atBorders: true);
            Assert.True(found.Wrong == 0, $"seed {seed}: {found.Wrong} tokens differ");
            (left, right) = (left + found.Left, right + found.Count - found.Left);
        }

        Assert.True(left > 10 && right > 10, $"{left} were left and {right} decided: the cases reach one side alone");
    }

    [Fact]
    public void Groups_of_threads_pick_the_same()
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        gpu.PicksOnDevice = true;
        Assert.Equal((0, 0, 2), Compare(gpu, 5, atBorders: false, new SamplingOptions { Temperature = 0.9 }));
    }

    [DeviceFact(Cuda = true)]
    public void Tokens_of_a_real_device_are_those_of_the_host()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Cuda);
        for (var seed = 0; seed < 1000; seed++)
        {
            Assert.Equal(0, Compare(gpu, seed, atBorders: seed % 2 == 0).Wrong);
        }
    }

    [Fact]
    public void Rows_that_are_no_law_are_left_to_the_host()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator) { PicksOnDevice = true };
        foreach (var bad in (float[])[float.NaN, float.PositiveInfinity])
        {
            Assert.Equal([-1, 2], Pick(gpu, [[1f, bad, 0f], [-1f, -1f, 2f]], SamplingOptions.Greedy, [0.5f, 0.5f]));
        }

        Assert.Equal([-1], Pick(gpu, [[float.NegativeInfinity, float.NegativeInfinity]], new SamplingOptions(), [0.5f]));
    }

    /// <summary>Plain decoding asks the device for tokens alone: the same text as from its logits, and no logits come back.</summary>
    [Fact]
    public void Plain_decoding_downloads_tokens_alone()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator) { PicksOnDevice = true };
        var config = new TransformerConfig { VocabularySize = 40, HiddenSize = 8, IntermediateSize = 12, Layers = 1, Heads = 2, KeyValueHeads = 1, MaxContext = 24 };
        int[] Text(IBackend backend, bool picks) => new Autoregressive(
            new Transformer(backend, config, 3), new SamplingOptions { Temperature = 2, TopP = 0.9 }, InverseCdf.Instance).Decode(
            [1, 2], picks ? Auxiliaries.FromSeed(5) : Auxiliaries.FromValues([.. Enumerable.Range(0, 12).Select(g => Auxiliaries.FromSeed(5).At(g, 0))]),
            new DecodeLimits(12, [])).Tokens.ToArray();
        var counting = new CountingBackend(gpu);
        var text = Text(counting, picks: true);
        Assert.Equal((12, 0), (counting.Picks, counting.Downloads));
        Assert.Equal(text, Text(counting, picks: false)); // given numbers may end before a draft does: the host picks
        Assert.Equal((12, 12), (counting.Picks, counting.Downloads));
    }

    // 150 generated cases of every system on a backend that picks for all rows of a call at once, as a device does, by the host's own code.
    [Fact]
    public void Every_decoder_gives_its_rows_the_numbers_of_their_positions()
    {
        using var cpu = new CpuBackend(1);
        var (sound, mixed) = (new PickingBackend(cpu, swaps: false), new PickingBackend(cpu, swaps: true));
        foreach (var family in (bool[])[false, true])
        {
            Assert.Empty(ExactnessSoak.Run(70_000, 75, family: family, device: sound).Failures);
        }

        Assert.True(sound.Rows - sound.Calls > 300, $"{sound.Calls} calls with {sound.Rows} rows");
        Assert.NotEmpty(ExactnessSoak.Run(70_000, 75, device: mixed).Failures); // control: two rows have each other's numbers
    }

    /// <summary>One row of logits and 2 or 9 numbers: how many tokens differ from the host's, and how many were left to it.</summary>
    private static (int Wrong, int Left, int Count) Compare(GpuBackend gpu, int seed, bool atBorders, SamplingOptions? options = null, bool turned = false)
    {
        var random = new Random(seed);
        var (logits, own) = LogitsTransformTests.Case(seed);
        options ??= (seed % 7) switch
        {
            0 => own with { TopK = 1 },
            1 => own with { Temperature = 1e-4 },
            2 => own with { Temperature = 1e4 },
            _ => own,
        };
        logits = [.. logits.Take(50)]; // simulated threads are slow
        logits[0] = float.IsNegativeInfinity(logits.Max()) ? 1f : logits[0];
        var transform = new LogitsTransform(options, logits.Length);
        var law = new float[logits.Length];
        transform.ToLaw(logits, law);
        var numbers = new List<float>();
        var cumulative = 0.0;
        foreach (var p in law.Where(p => p > 0f).Take(3))
        {
            // The float next to the border from either side: within half a float of it, often the border itself.
            cumulative += p;
            numbers.AddRange([(float)cumulative, MathF.BitDecrement((float)cumulative), MathF.BitIncrement((float)cumulative)]);
        }

        float[] u = atBorders ? [.. numbers.Where(x => x < 1f)] : [.. Enumerable.Range(0, 2).Select(_ => random.Next(1 << 24) * Grid)];
        float[] given = turned ? [.. logits.Reverse()] : logits;
        var picked = Pick(gpu, [.. u.Select(_ => given)], options, u);
        picked = [.. picked.Select(token => token < 0 || !turned ? token : logits.Length - 1 - token)];
        var wrong = picked.Zip(u).Count(pair => pair.First >= 0 && pair.First != Core.Paper.Pick.TokenByRunningSum(pair.Second, law));
        return (wrong, picked.Count(token => token < 0), u.Length);
    }

    private static int[] Pick(GpuBackend gpu, float[][] logits, SamplingOptions options, float[] u)
    {
        var tensor = gpu.Allocate(logits.Length, logits.FirstOrDefault()?.Length ?? 1);
        gpu.Upload([.. logits.SelectMany(row => row)], tensor);
        var tokens = new int[u.Length];
        Assert.True(gpu.TryPick(tensor, new LogitsTransform(options, tensor.Columns), u, tokens));
        return tokens;
    }

    private sealed class PickingBackend(CpuBackend inner, bool swaps) : WrappedBackend(inner), IBackend
    {
        public int Calls { get; private set; }

        public int Rows { get; private set; }

        bool IBackend.TryPick(Tensor logits, LogitsTransform law, ReadOnlySpan<float> u, Span<int> tokens)
        {
            (Calls, Rows) = (Calls + 1, Rows + u.Length);
            var probabilities = new float[logits.Columns];
            for (var row = 0; row < u.Length; row++)
            {
                law.ToLaw(logits.Row(row), probabilities);
                tokens[row] = Core.Paper.Pick.Token(u[swaps && u.Length > 1 && row < 2 ? 1 - row : row], probabilities);
            }

            return true;
        }
    }

    private sealed class CountingBackend(GpuBackend inner) : WrappedBackend(inner), IBackend
    {
        public int Picks { get; private set; }

        public int Downloads { get; private set; }

        public override void Download(Tensor source, Span<float> destination)
        {
            Downloads++;
            base.Download(source, destination);
        }

        bool IBackend.TryPick(Tensor logits, LogitsTransform law, ReadOnlySpan<float> u, Span<int> tokens)
        {
            Picks++;
            return inner.TryPick(logits, law, u, tokens);
        }
    }
}
