// Measurements with their floors beside them: matrix products, a training step, decoding calls. Prints Markdown.
// `dotnet run -c Release --project Ptp.Bench -- [products|training|calls [SIZE]|all|replay SIZE [bf16] [CHANCE]]`; every figure is a
// median of rounds, with the machine's peak measured beside. Refuses: running in Debug, where times mean nothing.

using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Ptp.Bench;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

if (typeof(Machine).Assembly.GetCustomAttribute<DebuggableAttribute>()?.IsJITOptimizerDisabled == true)
{
    Console.Error.WriteLine("Measure: received a Debug build; expected Release. Run with -c Release.");
    return 2;
}

const int rounds = 7;
var what = args.Length > 0 ? args[0] : "all";
if (what is not ("products" or "training" or "calls" or "all" or "replay"))
{
    Console.Error.WriteLine($"Measure: received '{what}'; expected products, training, calls, all or replay. Name one of these.");
    return 2;
}

using var backend = new CpuBackend();
Console.WriteLine($"{Machine.Describe()}; {backend.Name}\n");
var size = args.Length > 1 ? args[1] : what == "replay" ? "34M" : "4.2M";
var chance = args.Select(a => double.TryParse(a, CultureInfo.InvariantCulture, out var x) ? x : -1).Max();
if (!TransformerConfig.Names.Contains(size) || chance > 1)
{
    Console.Error.WriteLine($"Measure: received '{string.Join(' ', args[1..])}'; expected a size of {string.Join(", ", TransformerConfig.Names)}, "
        + "and for replay perhaps bf16 and a chance from 0 to 1. Name these.");
    return 2;
}

if (what == "replay")
{
    Replay.Run(backend, size, args.Contains("bf16"), chance < 0 ? 0.6 : chance);
}

if (what is "products" or "all")
{
    Products();
}

if (what is "training" or "all")
{
    Training();
}

if (what is "calls" or "all")
{
    Calls();
}

return 0;

void Products()
{
    Console.WriteLine("| product, R x K x N | GFLOP/s | share of peak | dW GFLOP/s | share of peak |");
    Console.WriteLine("|---|---|---|---|---|");
    (int R, int K, int N)[] shapes =
        [(1, 256, 1024), (4, 256, 1024), (17, 256, 1024), (2048, 256, 1024), (2048, 1024, 256), (512, 512, 512), (1024, 1024, 1024)];
    foreach (var (r, k, n) in shapes)
    {
        var random = new RandomStream(1, "bench");
        var (x, w) = (Filled(r, k, random), Filled(n, k, random));
        var (y, dW) = (backend.Allocate(r, n), backend.Allocate(n, k));
        var packed = backend.Pack(w, false, null);
        var (forward, share, _) = Median(() => backend.MatMul(x, packed, false, y), 2e-9 * r * k * n);
        var (backward, backwardShare, _) = Median(() => backend.MatMulBackwardWeight(y, x, dW), 2e-9 * r * k * n);
        Console.WriteLine($"| {r} x {k} x {n} | {forward:F0} | {share:P0} | {backward:F0} | {backwardShare:P0} |");
    }

    Console.WriteLine();
}

void Training()
{
    const int rows = 2048;
    var config = TransformerConfig.Named("4.2M", 2048);
    var random = new RandomStream(2, "bench");
    int[][] documents = [.. Enumerable.Range(0, 200).Select(_ =>
        Enumerable.Range(0, 100 + random.NextInt(300)).Select(_ => random.NextInt(2048)).ToArray())];
    var batches = new PackedBatches([new WeightedDocuments("random", documents, 1)], 0, 1);
    var trainer = new LanguageModelTrainer(
        new Transformer(backend, config, 1), batches, new AdamWOptions(), new LearningRate(), rows);
    // Matrix products only, three of them (forward, dX, dW) of 2 operations per weight and row; attention is extra work.
    var weights = config.BlockParameters + (double)config.VocabularySize * config.HiddenSize;
    var (gigaflops, share, seconds) = Median(() => trainer.Step(), 6e-9 * weights * rows, warmUp: 8);
    Console.WriteLine($"Training step of the 4.2M model, {rows} rows: {rows / seconds:F0} tokens/s, {gigaflops:F0} GFLOP/s, "
        + $"{share:P0} of the FMA peak measured beside.\n");
}

void Calls()
{
    const int context = 128;
    var config = TransformerConfig.Named(size, 2048);
    var model = new Transformer(backend, config, 1);
    int[] counts = [1, 2, 4, 8, 16, 32, 64, 128];
    var weights = config.BlockParameters + (double)config.VocabularySize * config.HiddenSize;
    var bandwidth = Machine.ReadGigabytes(Environment.ProcessorCount, (long)(4 * weights));
    var peak = Machine.PeakGigaflops(backend.Threads, 0.2);
    var costs = CallCosts.Measure(model, counts, [context], 2 * rounds, 0.02);
    Console.WriteLine("| rows of a call | ms | factor to one row | floor, ms | share of floor |");
    Console.WriteLine("|---|---|---|---|---|");
    foreach (var rows in counts)
    {
        var milliseconds = costs.Milliseconds(rows, context);
        // Floor: all weights read once, or all operations done at the peak, whichever takes longer.
        var floor = Math.Max(4e-6 * weights / bandwidth, 2e-6 * weights * rows / peak);
        Console.WriteLine($"| {rows} | {milliseconds:F3} | {milliseconds / costs.Milliseconds(1, context):F2} | {floor:F3} | {floor / milliseconds:P0} |");
    }

    Console.WriteLine($"\n{size} model, float32 weights, {context} tokens of context; read bandwidth {bandwidth:F0} GB/s over the weights' size.");
}

(double PerSecond, double ShareOfPeak, double Seconds) Median(Action body, double giga, int warmUp = 3)
{
    for (var i = 0; i < warmUp; i++)
    {
        body();
    }

    var results = new List<(double Seconds, double Peak)>();
    for (var round = 0; round < rounds; round++)
    {
        var peak = Machine.PeakGigaflops(backend.Threads, 0.05);
        var clock = Stopwatch.StartNew();
        var repeats = 0;
        do
        {
            body();
            repeats++;
        }
        while (clock.Elapsed.TotalSeconds < 0.1);
        results.Add((clock.Elapsed.TotalSeconds / repeats, peak));
    }

    var seconds = results.Select(r => r.Seconds).Order().ElementAt(rounds / 2);
    var share = results.Select(r => giga / r.Seconds / r.Peak).Order().ElementAt(rounds / 2);
    return (giga / seconds, share, seconds);
}

Tensor Filled(int rows, int columns, RandomStream random)
{
    var tensor = backend.Allocate(rows, columns);
    foreach (ref var value in tensor.Span)
    {
        value = (float)random.NextGaussian();
    }

    return tensor;
}
