// Wall clock of decoders on models that nobody trained: weights are random, but calls, adapter and sampler head are real, and
// the guesses are replayed so that each is right with a given chance after all before it were, as on the embedded model. Drafts run
// through the model itself, or through a twin of it whose weights are rounded to bytes; a twin's own first token is not replayed.
// The texts must still equal plain decoding's, token by token. Refuses: to say anything about quality.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Bench;

/// <summary>A decoder on a model of random weights.</summary>
/// <param name="Name">The decoder.</param>
/// <param name="TokensPerCall">Tokens per forward pass.</param>
/// <param name="RowsPerCall">Rows per forward pass.</param>
/// <param name="Milliseconds">Per token, median over texts.</param>
/// <param name="Speed">Plain decoding's time over its own, median over texts.</param>
internal readonly record struct Replayed(string Name, double TokensPerCall, double RowsPerCall, double Milliseconds, double Speed);

/// <summary>Plain decoding, drafts and branches on one model.</summary>
internal static class Replay
{
    private const int Rank = 16;

    /// <summary>Prints a table.</summary>
    /// <param name="backend">Device.</param>
    /// <param name="size">A name of Shapes.</param>
    /// <param name="halves">True to round all weights to BF16, as files of BF16 have them.</param>
    /// <param name="chance">Chance of a guess to be right.</param>
    /// <param name="output">Where to.</param>
    public static void Run(IBackend backend, string size, bool halves, double chance, TextWriter output)
    {
        const int newTokens = 192;
        const int texts = 5;
        var config = Shapes.Named(size);
        output.WriteLine($"{size}, {config.Parameters / 1e6:F1} M parameters, {(halves ? "BF16" : "float32")} weights (random), "
            + $"LoRA of rank {Rank}, sampler head of width {config.HiddenSize}; a guess is right with chance {chance:F2}; {newTokens} tokens, median of {texts} texts");
        output.WriteLine("| decoder | tokens per call | rows per call | ms per token | speed against plain |\n|---|---|---|---|---|");
        foreach (var row in Measure(backend, size, halves, chance, [2, 3, 4, 5, 6, 8], [2, 3, 4, 6, 8, 12], newTokens, texts))
        {
            output.WriteLine($"| {row.Name} | {row.TokensPerCall:F2} | {row.RowsPerCall:F1} | {row.Milliseconds:F3} | {row.Speed:F2} |");
        }

        output.WriteLine();
    }

    /// <summary>Plain decoding first, then drafts of these lengths and branches of these budgets.</summary>
    public static IReadOnlyList<Replayed> Measure(
        IBackend backend, string size, bool halves, double chance, int[] drafts, int[] branches, int newTokens, int texts)
    {
        var config = Shapes.Named(size);
        var model = new Transformer(backend, config, 1);
        // Laws of random weights are flat; a trained model's are not, and cost less to cut off at top-p.
        Initialise.Constant(model.Parameters.Single(p => p.Name == "model.norm.weight"), 8f);
        var lora = new GatedLora(backend, config, Rank, 1, 1);
        foreach (var parameter in halves ? model.Parameters.Concat(lora.Parameters) : [])
        {
            Shorten(parameter);
        }

        var law = new SamplingOptions { Temperature = 0.7, TopP = 0.9 };
        var rule = new ReplayedPick(chance);
        SlotModel Slots(Transformer network)
        {
            var sampler = new SamplerHead(network, 2, config.HiddenSize, 1);
            foreach (var parameter in halves ? sampler.Parameters : [])
            {
                Shorten(parameter);
            }

            return new SlotModel(
                network, lora, new FixedPointEmbedding(), 16, law, rule, 1, SlotStart.LastToken, SlotReading.Categorical, sampler);
        }

        var ptp = Slots(model);
        var twin = backend.Stores(WeightFormat.Int8) ? Slots(model.Twin(WeightFormat.Int8)) : null;
        var plain = new Autoregressive(model, law, InverseCdf.Instance);
        (string Name, IDecoder Decoder)[] others =
        [
            .. drafts.Select(n => ($"drafts of {n}", (IDecoder)new ErrorCorrectedDecoding(
                model, ptp.NewDrafter(), law, rule, n))),
            .. (twin is null ? [] : drafts).Select(n => ($"drafts of {n} from int8", (IDecoder)new ErrorCorrectedDecoding(
                model, twin!.NewDrafter(), law, rule, n))),
            .. branches.Select(n => ($"branches, {n} slots", (IDecoder)new PartialQuadraticDecoding(
                ptp, law, new PartialQuadraticOptions { Budget = n }))),
        ];
        // Texts outside, decoders inside, plain decoding right before each: a slow moment of the machine meets both.
        var (plainTimes, times) = (new double[others.Length][], new double[others.Length][]);
        var (tokens, rows) = (new double[others.Length], new double[others.Length]); // per call, means over texts
        for (var i = 0; i < others.Length; i++)
        {
            (plainTimes[i], times[i]) = (new double[texts], new double[texts]);
        }

        for (var text = -1; text < texts; text++) // the first is a warm-up
        {
            var u = Auxiliaries.FromSeed((ulong)(text + 2));
            var limits = new DecodeLimits(newTokens, []);
            for (var i = 0; i < others.Length; i++)
            {
                var expected = plain.Decode([1, 2, 3], u, limits);
                rule.Answer(u, expected.Tokens, text);
                var decoded = others[i].Decoder.Decode([1, 2, 3], u, limits);
                if (!decoded.Tokens.SequenceEqual(expected.Tokens))
                {
                    throw new InvalidOperationException($"{others[i].Name}: the text differs from plain decoding's.");
                }

                plainTimes[i][Math.Max(0, text)] = expected.Stats.MillisecondsPerToken;
                times[i][Math.Max(0, text)] = decoded.Stats.MillisecondsPerToken;
                tokens[i] += text < 0 ? 0 : decoded.Stats.TokensPerCall / texts;
                rows[i] += text < 0 ? 0 : decoded.Stats.RowsPerCall / texts;
            }
        }

        return
        [
            new Replayed("plain", 1, 1, Median([.. plainTimes.SelectMany(t => t)]), 1),
            .. others.Select((other, i) => new Replayed(other.Name, tokens[i], rows[i], Median(times[i]),
                Median([.. plainTimes[i].Zip(times[i], (p, o) => p / o)]))),
        ];
    }

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    /// <summary>Cuts a parameter's numbers to BF16.</summary>
    public static void Shorten(Parameter parameter)
    {
        var values = new float[parameter.Value.Length];
        parameter.Backend.Download(parameter.Value, values);
        Initialise.Set(parameter, Array.ConvertAll(
            values, v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xFFFF0000)));
    }

    /// <summary>The paper's rule for the model's own laws; a guess ignores the law and plays back the answer, or misses it.</summary>
    private sealed class ReplayedPick(double chance) : PickRule
    {
        private readonly Dictionary<float, (int Token, bool IsRight)> _answers = [];

        public override string Name => "replayed";

        /// <summary>Whether a token is guessed right is drawn once, so that all decoders of a text have the same luck.</summary>
        public void Answer(Auxiliaries u, int[] tokens, int text)
        {
            _answers.Clear();
            var luck = new RandomStream((ulong)(text + 2), "replayed guesses");
            for (var g = 0; g < tokens.Length; g++)
            {
                _answers[u.At(g, 0)] = (tokens[g], luck.NextDouble() < chance);
            }
        }

        public override int NumbersPerToken(int vocabularySize) => 1;

        public override int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law) => Core.Paper.Pick.Token(u[0], law);

        public override void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best)
        {
            var (answer, isRight) = _answers.GetValueOrDefault(u[0]);
            best.Add(isRight ? answer : (answer + 1) % law.Length, (float)chance);
        }

        public override bool TryDraw(int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u) =>
            InverseCdf.Instance.TryDraw(token, law, noise, beta, u);
    }
}
