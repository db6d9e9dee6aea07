// One prompt of the demo, decoded both ways from the same u, several times in turn; and the figures of all prompts.
// speedup = (sum of AR medians / AR tokens) / (sum of PTP medians / PTP tokens); counts are of one run per prompt.
// Refuses: averages of ratios; everything is pooled over prompts.

using System.Text;
using System.Text.Json.Nodes;
using Ptp.Core.Decoding;

namespace Ptp.Reference.Commands;

/// <summary>Both decodings of one prompt.</summary>
/// <param name="Prompt">Its text.</param>
/// <param name="Plain">Token by token.</param>
/// <param name="Parallel">PTP with error correction.</param>
/// <param name="Rounds">What each round of the latter committed.</param>
/// <param name="Text">The generated text.</param>
/// <param name="PlainSeconds">Median time after the prompt.</param>
/// <param name="ParallelSeconds">Median time after the prompt.</param>
internal sealed record DemoRun(
    string Prompt, Decoded Plain, Decoded Parallel, IReadOnlyList<Commitment> Rounds, string Text, double PlainSeconds,
    double ParallelSeconds)
{
    /// <summary>Index of the first token that differs; the shorter length if one text is longer; -1 if none.</summary>
    public int FirstDifference
    {
        get
        {
            var common = Plain.Tokens.AsSpan().CommonPrefixLength(Parallel.Tokens);
            return common == Plain.Tokens.Length && common == Parallel.Tokens.Length ? -1 : common;
        }
    }

    /// <summary>True if every token and the reason to stop agree.</summary>
    public bool Identical => FirstDifference < 0 && Plain.Stop == Parallel.Stop;

    /// <summary>The rounds as text: # for a correct draft token, + for the token that ends a round.</summary>
    public string Strip
    {
        get
        {
            var strip = new StringBuilder();
            foreach (var round in Rounds)
            {
                strip.Append('#', round.Correct).Append('+', round.Tokens.Length - round.Correct);
            }

            return strip.ToString();
        }
    }

    /// <summary>Decodes in turn, so that a busy machine slows both alike.</summary>
    public static DemoRun Of(
        Decoding decoding, IDecoder ar, IDecoder ptp, string text, int[] prompt, int index, int repeats,
        CancellationToken cancellation)
    {
        var u = decoding.U(index);
        var (plainTimes, parallelTimes) = (new List<double>(), new List<double>());
        Decoded? plain = null;
        Decoded? parallel = null;
        var rounds = new List<Commitment>();
        bool Keep(Commitment round)
        {
            rounds.Add(round);
            return true;
        }

        for (var repeat = 0; repeat < repeats && (repeat == 0 || !cancellation.IsCancellationRequested); repeat++)
        {
            // Not cancelled in the middle: half a text proves nothing.
            plain = ar.Decode(prompt, u, decoding.Limits, cancellation: CancellationToken.None);
            plainTimes.Add(plain.Stats.Seconds);
            rounds.Clear();
            parallel = ptp.Decode(prompt, u, decoding.Limits, Keep, CancellationToken.None);
            parallelTimes.Add(parallel.Stats.Seconds);
        }

        var generated = decoding.Model.Tokenizer.Decode(parallel!.Tokens);
        return new DemoRun(text, plain!, parallel, rounds, generated, Median(plainTimes), Median(parallelTimes));
    }

    /// <summary>Writes the text again, round by round.</summary>
    public void Replay(TextStream text)
    {
        foreach (var round in Rounds)
        {
            text.Take(round);
        }

        text.End();
    }

    /// <summary>The figures of all prompts.</summary>
    public static JsonObject Summary(IReadOnlyList<DemoRun> runs)
    {
        var stats = new DecodeStats();
        foreach (var run in runs)
        {
            stats.Add(run.Parallel.Stats);
        }

        var plain = 1000 * runs.Sum(r => r.PlainSeconds) / Math.Max(1, runs.Sum(r => r.Plain.Tokens.Length));
        var parallel = 1000 * runs.Sum(r => r.ParallelSeconds) / Math.Max(1, runs.Sum(r => r.Parallel.Tokens.Length));
        return new JsonObject
        {
            ["identical"] = runs.All(r => r.Identical),
            ["text"] = runs[0].Text,
            ["tokens"] = stats.Tokens,
            ["rounds"] = stats.Rounds,
            ["calls"] = stats.Calls + stats.DrafterCalls,
            ["accepted_per_round"] = Output.Number(stats.AcceptedPerRound),
            ["correct_per_round"] = Output.Number(stats.CorrectPerRound),
            ["own_accepted_per_round"] = Output.Number(stats.OwnAcceptedPerRound),
            ["tokens_per_call"] = Output.Number(stats.TokensPerCall),
            ["ar_ms_per_token"] = Output.Number(plain),
            ["ptp_ms_per_token"] = Output.Number(parallel),
            ["speedup"] = Output.Number(parallel > 0 ? plain / parallel : 0),
            ["texts"] = new JsonArray([.. runs.Select(r => new JsonObject
            {
                ["prompt"] = r.Prompt,
                ["text"] = r.Text,
                ["identical"] = r.Identical,
                ["tokens"] = r.Parallel.Tokens.Length,
                ["stop"] = StatsOutput.Stop(r.Parallel.Stop, false),
                ["strip"] = r.Strip,
                ["accepted_per_round"] = Output.Number(r.Parallel.Stats.AcceptedPerRound),
            })]),
        };
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        var middle = values.Count / 2;
        return values.Count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
}
