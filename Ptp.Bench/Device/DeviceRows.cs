// Speed of a device: the product ladder, few rows against the copy bandwidth, attention, a training step, calls and decoding of a model,
// PTP over plain decoding. Floors are measured on the device in the same run: fused multiply-adds in registers, bytes of a copy.
// The peer is PyTorch on the same device, with TF32 off. Refuses: a time without a wait for the device at its end.

using Ptp.Bench.Rows;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Gpu;

namespace Ptp.Bench.Device;

/// <summary>Rows about a device.</summary>
/// <param name="gpu">The device.</param>
/// <param name="plan">How long.</param>
/// <param name="torch">PyTorch on it, or null.</param>
internal sealed class DeviceRows(GpuBackend gpu, Plan plan, Peers.Torch? torch)
{
    private const int LargestElements = 1024; // beyond it one thread per element says nothing that is worth the wait
    private double? _peak;
    private double? _bandwidth;

    /// <summary>The model to time: the wall-clock showcase, or the embedded default's size on a device of a few cores.</summary>
    private string Model => plan == Plan.Tiny ? "66k" : Peak < 500 ? "4.2M" : "34M";

    private double Slice => Math.Max(plan.Slice, 0.001);

    private double Peak => _peak ??= gpu.PeakGigaflops(Slice);

    private double Bandwidth => _bandwidth ??= gpu.CopyGigabytes(plan.Of(1 << 10, 1 << 25, 1 << 26), Slice);

    /// <summary>All of them.</summary>
    public IEnumerable<Row> All() => Floors().Concat(Products()).Concat(FewRows()).Concat(AttentionOf()).Concat(Training()).Concat(Models()).Concat(Drafts());

    private IEnumerable<Row> Floors() =>
    [
        new("Floors", "fused multiply-adds in registers", Peak, Unit.Gigaflops),
        new("Floors", "copy, bytes read and written", Bandwidth, Unit.Gigabytes),
    ];

    private IEnumerable<Row> Products()
    {
        // What takes a second at the peak is for larger devices.
        foreach (var n in plan.Of<int[]>([64], [1024, 4096], [1024, 2048, 4096]).Where(n => n <= 1024 || 2e-9 * n * n * n < Peak))
        {
            var (x, w, y) = (Random(n, n), Random(n, n), Random(n, n));
            var packed = gpu.Pack(w, transposed: false, null);
            var (amount, theirs) = (2e-9 * n * n * n, new Lazy<double?>(() => Ask($"forward {n} {n} {n}")));
            foreach (var rung in (ProductKernel[])[ProductKernel.Elements, ProductKernel.Tiles64, ProductKernel.Tiles128])
            {
                if (rung != ProductKernel.Elements || n <= LargestElements)
                {
                    yield return Rate("Matrix products", $"product {n} x {n} x {n}, {rung}", Unit.Gigaflops, amount,
                        Forced(rung, () => gpu.MatMul(x, packed, accumulate: false, y)), Peak, theirs.Value);
                }
            }

            foreach (var (precision, theirRow) in gpu.HasTensorCores
                ? ((ProductPrecision, string)[])[(ProductPrecision.Tf32, "forward_tf32"), (ProductPrecision.BFloat16, "forward_bf16")] : [])
            {
                gpu.Precision = precision;
                var seconds = gpu.Time(() => gpu.MatMul(x, packed, accumulate: false, y), Slice);
                gpu.Precision = ProductPrecision.Single;
                yield return Rate("Matrix products", $"product {n} x {n} x {n}, operands rounded to {precision}, tensor cores", Unit.Gigaflops, amount, seconds,
                    Peak, Ask($"{theirRow} {n} {n} {n}"));
            }

            yield return Rate("Matrix products", $"dW {n} x {n} x {n}", Unit.Gigaflops, amount,
                gpu.Time(() => gpu.MatMulBackwardWeight(x, w, y), Slice), Peak, Ask($"weight_gradient {n} {n} {n}"));
        }
    }

    private IEnumerable<Row> FewRows()
    {
        var (k, n) = plan.Of((64, 96), (4096, 8192), (4096, 8192));
        var weights = Random(n, k);
        var full = gpu.Pack(weights, transposed: false, null);
        gpu.Fill(1f, weights); // BF16, so they are stored as such
        foreach (var (packed, each, stored) in ((PackedMatrix, double, string)[])[(full, 4e-9, "F32"), (gpu.Pack(weights, transposed: false, null), 2e-9, "BF16")])
        {
            foreach (var rows in plan.Of<int[]>([1, 3], [1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64, 128]))
            {
                var (x, y) = (Random(rows, k), Random(rows, n));
                var bytes = (each * n * k) + (4e-9 * rows * (k + n));
                var theirs = Ask($"{(packed == full ? "forward" : "forward_bf16")} {rows} {k} {n}");
                foreach (var rung in (ProductKernel[])[ProductKernel.Narrow, ProductKernel.Tiles64])
                {
                    yield return Rate("Few rows", $"{rows} rows, {stored} weights of {1e3 * each * n * k:F0} MB, {rung}", Unit.Gigabytes, bytes,
                        Forced(rung, () => gpu.MatMul(x, packed, accumulate: false, y)),
                        Math.Min(Bandwidth, Peak * bytes / (2e-9 * rows * n * k)), theirs);
                }
            }
        }
    }

    private IEnumerable<Row> AttentionOf()
    {
        var (heads, size, tokens) = plan.Of((2, 16, 16), (12, 64, 1024), (12, 64, 1024));
        var (width, shape) = (heads * size, new HeadShape(heads, heads, size));
        var cache = new CachedKeys(Random(tokens, width), Random(tokens, width));
        foreach (var (rows, behind) in ((int, int)[])[(1, tokens), (16, tokens), (tokens / 2, 0)])
        {
            var (q, k, v, y) = (Random(rows, width), Random(rows, width), Random(rows, width), Random(rows, width));
            var sees = Visibility.Causal(behind, rows);
            var giga = 4e-9 * width * rows * (behind + ((rows + 1) / 2.0));
            yield return Rate("Attention, one layer", $"{rows} rows behind {behind} tokens, {heads} heads of {size}", Unit.Gigaflops, giga,
                gpu.Time(() => gpu.Attention(q, k, v, behind > 0 ? cache : default, sees, shape, y), Slice), Peak,
                Ask($"attention {rows} {behind} {heads} {size}"));
        }
    }

    private IEnumerable<Row> Training()
    {
        foreach (var (size, rows) in plan.Of<(string, int)[]>([(Model, 16)], [(Model, 2048)], [("4.2M", 2048), (Model, 2048), (Model, 8192)]).Distinct())
        {
            var (trainer, length) = TrainingRows.Trainer(gpu, size, rows);
            yield return Rate("Training step", $"{size}, {rows} rows", Unit.Gigaflops,
                6e-9 * Shapes.ReadWeights(trainer.Model.Config) * rows, gpu.Time(() => trainer.Step(), Slice), Peak, Ask($"train {size} {rows} {length}"));
        }
    }

    private IEnumerable<Row> Models()
    {
        var (name, tokens, context) = plan.Of((Model, 8, 16), (Model, 64, 128), (Model, 256, 128));
        var model = new Transformer(gpu, Shapes.Named(name), 1);
        var decoder = new Autoregressive(model, SamplingOptions.Greedy, InverseCdf.Instance);
        void Text() => decoder.Decode([1], Auxiliaries.FromSeed(1), new DecodeLimits(tokens, []));
        var seconds = gpu.Time(Text, Slice) / tokens;
        var (launches, copies, waits) = (gpu.Launches, gpu.Copies, gpu.Waits);
        Text();
        const string group = "Decoding";
        yield return Rate(group, $"plain decoding, {name}", Unit.TokensPerSecond, 1, seconds, 1e9 * Bandwidth / (4 * Shapes.ReadWeights(model.Config)), null);
        yield return new Row(group, $"kernels launched per token, {name}", (gpu.Launches - launches) / (double)tokens, Unit.Count);
        yield return new Row(group, $"arrays of positions, slots and ranges sent per token, {name}", (gpu.Copies - copies) / (double)tokens, Unit.Count);
        yield return new Row(group, $"waits for the device per token, {name}", (gpu.Waits - waits) / (double)tokens, Unit.Count);
        int[] counts = plan.Of<int[]>([1, 4], [1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64, 128]);
        var costs = CallCosts.Measure(model, counts, [context], plan.Rounds, Slice);
        foreach (var rows in counts)
        {
            yield return new Row(group, $"call of {rows} rows over call of 1 row, {context} tokens behind, {name}",
                costs.Milliseconds(rows, context) / costs.Milliseconds(1, context), Unit.Factor, Floor: 1);
        }
    }

    private IEnumerable<Row> Drafts()
    {
        var (size, drafts, branches, tokens) = plan.Of<(string, int[], int[], int)>(
            (Model, [2], [], 8), (Model, [4, 8, 15], [16, 32], 96), (Model, [2, 4, 6, 8, 12, 15], [8, 16, 32, 64], 192));
        foreach (var chance in plan.Of<double[]>([0.75], [0.75, 0.9], [0.75, 0.9]))
        {
            var measured = Replay.Measure(gpu, size, false, chance, drafts, branches, tokens, plan.Of(1, 3, 5));
            foreach (var row in measured.Skip(1))
            {
                yield return new Row("PTP over plain decoding, random weights, guesses replayed", $"{size}, chance {chance}, {row.Name}",
                    1000 / row.Milliseconds, Unit.TokensPerSecond, "own plain decoding", 1000 / measured[0].Milliseconds, row.Speed);
            }
        }
    }

    private double Forced(ProductKernel rung, Action body)
    {
        gpu.Product = gpu.Has(rung) ? rung : ProductKernel.Best;
        try
        {
            return gpu.Time(body, Slice);
        }
        finally
        {
            gpu.Product = ProductKernel.Best;
        }
    }

    private double? Ask(string what) => torch?.Seconds(what, Slice) is { } seconds && double.IsFinite(seconds) ? seconds : null;

    private Row Rate(string group, string name, Unit unit, double amount, double seconds, double floor, double? theirs) => new(
        group, name, amount / seconds, unit, torch is null ? null : $"PyTorch {torch.Version}", amount / theirs, theirs / seconds, floor, amount / seconds / floor);

    private Tensor Random(int rows, int columns)
    {
        // The same few numbers again and again: sizes are large, and times do not depend on values.
        var random = new RandomStream(1, "device");
        var few = Enumerable.Range(0, 4093).Select(_ => (float)random.NextGaussian()).ToArray();
        var values = new float[rows * columns];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = few[i % few.Length];
        }

        var tensor = gpu.Allocate(rows, columns);
        gpu.Upload(values, tensor);
        return tensor;
    }
}
