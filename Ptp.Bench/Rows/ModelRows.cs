// Whole models: a prompt of 512 tokens and plain decoding of llama2.c's shapes in every number format, and what a call of eight rows
// costs beside one of a single row. The peer is llama.cpp on the same random weights. Floors: every weight read once per call, or all
// operations at the FMA peak. Refuses: nothing.

using System.Diagnostics;
using Ptp.Bench.Peers;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Text;
using Ptp.Core.Training;
using Ptp.Reference.Commands;

namespace Ptp.Bench.Rows;

/// <summary>Rows about models.</summary>
internal static class ModelRows
{
    private const string Group = "Whole models";
    private static readonly Format[] s_formats =
    [
        new("F32", GgufType.F32, 4, _ => { }),
        new("BF16", GgufType.BF16, 2, model => Array.ForEach(model.Parameters.ToArray(), Replay.Shorten)),
        new("int8", GgufType.Q8_0, 1 + 4.0 / 64, model => model.StoreWeights(WeightFormat.Int8)),
    ];

    /// <summary>Prompt and decoding of every shape in every format, and calls of the largest.</summary>
    public static IEnumerable<Row> All(Bench bench)
    {
        var names = bench.Plan.Of<string[]>(["66k"], Shapes.Stories, Shapes.Stories);
        foreach (var name in names)
        {
            var model = new Transformer(bench.Backend, Shapes.Named(name), 1);
            using var files = new GgufFiles(bench, name, model);
            foreach (var format in s_formats)
            {
                format.Prepare(model);
                foreach (var row in Decoding(bench, name, format, model, files).Concat(name == names[^1] ? Calls(bench, name, format, model, files) : []))
                {
                    yield return row;
                }
            }
        }
    }

    /// <summary>Bytes that a decoded token allocates, from the first to the last of a text; the text itself, four bytes a token, is handed out behind it.</summary>
    public static Row Allocation(Bench bench)
    {
        var name = bench.Plan.Of("66k", "4.2M", "4.2M");
        var decoder = Plain(new Transformer(bench.Backend, Shapes.Named(name), 1));
        var (first, last, tokens) = (0L, 0L, 0);
        bool Count(Commitment commitment)
        {
            last = GC.GetTotalAllocatedBytes(true);
            first = tokens == 0 ? last : first;
            tokens += commitment.Tokens.Length;
            return true;
        }

        // All threads of the process are counted, and what others allocate meanwhile can only be more: the least of some texts.
        var least = Enumerable.Range(0, 5).Min(_ =>
        {
            tokens = 0;
            decoder.Decode([1], Auxiliaries.FromSeed(1), new DecodeLimits(128, []), Count);
            return (last - first) / (tokens - 1.0);
        });
        return new Row("Allocation", $"bytes per decoded token, {name}", least, Unit.Bytes, Floor: 0);
    }

    /// <summary>Time of a call of eight rows in calls of one row.</summary>
    private static IEnumerable<Row> Calls(Bench bench, string name, Format format, Transformer model, GgufFiles files)
    {
        var context = bench.Plan.Of(16, 256, 256);
        var (mine, theirs) = (new List<double>(), new List<double>());
        for (var round = 0; round < bench.Plan.LongRounds; round++)
        {
            var costs = CallCosts.Measure(model, [1, 8], [context], bench.Plan.Rounds, bench.Plan.Slice);
            mine.Add(costs.Milliseconds(8, context) / costs.Milliseconds(1, context));
            if (bench.Llama is { } llama)
            {
                Thread.Sleep(bench.Plan.Pause);
                var rates = llama.TokensPerSecond(files[format.Peer], [1, 8], 0, context, bench.Plan.LongRounds);
                theirs.Add(8 * rates.GetValueOrDefault(1, double.NaN) / rates.GetValueOrDefault(8, double.NaN));
            }
        }

        var row = Contest.Combine(Group, $"call of 8 rows over call of 1 row, {context} tokens behind, {name}, {format.Name}", Unit.Factor, mine,
            [(LlamaBench.Peer, theirs)], []).Single();
        yield return row with { Floor = 1, ShareOfFloor = 1 / row.Ours };
    }

    private static IEnumerable<Row> Decoding(Bench bench, string name, Format format, Transformer model, GgufFiles files)
    {
        var (prompt, text) = bench.Plan.Of((16, 8), (512, 32), (512, 128));
        var config = Shapes.Named(name);
        var weights = (double)Shapes.ReadWeights(config);
        var random = new RandomStream(1, "bench");
        int[] ids = [.. Enumerable.Range(0, prompt).Select(_ => random.NextInt(config.VocabularySize))];
        var session = new ModelSession(model, SamplingOptions.Greedy, InverseCdf.Instance);
        var decoder = Plain(model);
        (double Prompt, double Text) Ours()
        {
            var start = Stopwatch.GetTimestamp();
            session.Start(ids);
            session.Verify([ids[^1]]);
            var middle = Stopwatch.GetTimestamp();
            Text(decoder, text);
            return (prompt / Stopwatch.GetElapsedTime(start, middle).TotalSeconds, text / Stopwatch.GetElapsedTime(middle).TotalSeconds);
        }

        Ours(); // compiles and packs
        var (floors, mine, theirs) = (Lists(), Lists(), Lists());
        for (var round = 0; round < bench.Plan.LongRounds; round++)
        {
            // The head is computed for the last row of a prompt only.
            floors.Prompt.Add(1e9 * bench.Peak() / (2 * (weights - (double)config.VocabularySize * config.HiddenSize)));
            floors.Text.Add(1e9 * bench.Stream((long)(format.Bytes * weights)) / (format.Bytes * weights));
            var (promptRate, textRate) = Ours();
            mine.Prompt.Add(promptRate);
            mine.Text.Add(textRate);
            if (bench.Llama is { } llama)
            {
                Thread.Sleep(bench.Plan.Pause);
                var rates = llama.TokensPerSecond(files[format.Peer], [prompt], text, 0, bench.Plan.Of(1, 1, 3));
                theirs.Prompt.Add(rates.GetValueOrDefault(prompt, double.NaN));
                theirs.Text.Add(rates.GetValueOrDefault(-text, double.NaN));
            }
        }

        return Contest.Combine(Group, $"decoding {text} tokens, {name}, {format.Name}", Unit.TokensPerSecond, mine.Text,
            [(LlamaBench.Peer, theirs.Text)], floors.Text)
            .Concat(Contest.Combine(Group, $"prompt of {prompt} tokens, {name}, {format.Name}", Unit.TokensPerSecond, mine.Prompt,
                [(LlamaBench.Peer, theirs.Prompt)], floors.Prompt)).ToArray();
    }

    private static (List<double> Prompt, List<double> Text) Lists() => ([], []);

    private static Autoregressive Plain(Transformer model) => new(model, SamplingOptions.Greedy, InverseCdf.Instance);

    private static void Text(IDecoder decoder, int tokens) =>
        decoder.Decode([1], Auxiliaries.FromSeed(1), new DecodeLimits(tokens, []));

    /// <summary>How weights are stored.</summary>
    /// <param name="Name">As printed.</param>
    /// <param name="Peer">The peer's nearest format.</param>
    /// <param name="Bytes">Per weight, scales included.</param>
    /// <param name="Prepare">Brings a model to it, from the format before.</param>
    private sealed record Format(string Name, GgufType Peer, double Bytes, Action<Transformer> Prepare);

    /// <summary>The weights as GGUF files for the peer, as long as they are needed.</summary>
    private sealed class GgufFiles : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("ptp-bench-").FullName;

        public GgufFiles(Bench bench, string name, Transformer model)
        {
            if (bench.Llama is null || ModelChoice.Default(ModelChoice.Base) is not { } folder)
            {
                return;
            }

            var files = new ModelFiles(model.Config, model.Parameters.Select(ModelCheckpoint.Stored).ToDictionary(t => t.Name));
            foreach (var format in s_formats)
            {
                GgufModel.Write(this[format.Peer], name, files, Tokenizer.Load(folder), format.Peer);
            }
        }

        public string this[GgufType type] => Path.Combine(_folder, $"{type}.gguf");

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}
