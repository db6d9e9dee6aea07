// Wall clock of PTP over our own plain decoding, same u, same tokens: the embedded model with its trained adapter and drafts as long as
// pay; and larger models of random weights, whose guesses are replayed so that each is right with a given chance (Replay.cs).
// Refuses: texts that differ from plain decoding's.

using System.Globalization;
using Ptp.Core.Decoding;
using Ptp.Reference.Commands;

namespace Ptp.Bench.Rows;

/// <summary>Rows about parallel decoding.</summary>
internal static class DraftRows
{
    private const string Group = "Parallel decoding";
    private const string Plain = "own plain decoding";
    public const double Chance = 0.75; // of a slot after right ones: what 'ptp eval' measures of the embedded adapter, slots 2 to 16

    /// <summary>Trained and replayed models.</summary>
    public static IEnumerable<Row> All(Bench bench)
    {
        if (bench.Plan != Plan.Tiny)
        {
            yield return Embedded(bench);
        }

        (string Size, int[] Drafts, int Tokens, int Texts)[] models = bench.Plan.Of<(string, int[], int, int)[]>(
            [("66k", [2], 8, 1)],
            [("34M", [3, 4, 6], 64, 3), ("110M", [3, 5], 32, 2)],
            [("34M", [2, 3, 4, 5, 6, 8], 192, 5), ("110M", [2, 3, 4, 5, 6, 8], 128, 5)]);
        foreach (var (size, drafts, tokens, texts) in models)
        {
            var measured = Replay.Measure(bench.Backend, size, false, Chance, drafts, [], tokens, texts);
            var best = measured.Skip(1).MaxBy(m => m.Speed);
            var name = string.Create(CultureInfo.InvariantCulture, $"PTP, {size}, F32, random weights, guesses replayed at {Chance}, {best.Name}");
            yield return new Row(Group, name, 1000 / best.Milliseconds, Unit.TokensPerSecond, Plain, 1000 / measured[0].Milliseconds, best.Speed);
        }
    }

    private static Row Embedded(Bench bench)
    {
        const string name = "PTP, embedded model and adapter, drafts as pays";
        if (ModelChoice.Default(ModelChoice.Ptp) is not { } adapter)
        {
            return new Row(Group, name, null, Unit.TokensPerSecond, Plain);
        }

        string[] prompts = ["Once upon a time", "The sea was calm, and", "Tom and his sister"];
        var model = ModelChoice.Load(null, null, bench.Backend);
        var decoding = new Decoding(model, new SamplingOptions { Temperature = 0.7, TopP = 0.9 }, 1, 0, 128) { Pays = true }.With(adapter);
        var (plain, parallel) = (decoding.Autoregressive(), decoding.ErrorCorrected());
        var (mine, theirs) = (new List<double>(), new List<double>());
        for (var round = -1; round < bench.Plan.Rounds; round++)
        {
            var (own, other, tokens) = (0.0, 0.0, 0);
            for (var i = 0; i < prompts.Length; i++)
            {
                var prompt = model.Encode(prompts[i]);
                var (a, b) = (plain.Decode(prompt, decoding.U(i), decoding.Limits), parallel.Decode(prompt, decoding.U(i), decoding.Limits));
                if (!a.Tokens.SequenceEqual(b.Tokens))
                {
                    throw new InvalidOperationException($"'{prompts[i]}': the text differs from plain decoding's.");
                }

                (own, other, tokens) = (own + b.Stats.Seconds, other + a.Stats.Seconds, tokens + a.Tokens.Length);
            }

            if (round >= 0) // the first one compiles
            {
                mine.Add(tokens / own);
                theirs.Add(tokens / other);
            }
        }

        return Contest.Combine(Group, name, Unit.TokensPerSecond, mine, [(new Contestant(Plain, null, null), theirs)], []).Single();
    }
}
