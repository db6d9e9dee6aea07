// The figures of a decoding run as JSON and as a line for people; every name means what DecodeStats defines.
// accepted_per_round counts the correction too; own_... is the drafter's score without its first token replaced.
// Refuses: figures of its own; it only formats.

using System.Text.Json.Nodes;
using Ptp.Core.Decoding;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Formats statistics.</summary>
internal static class StatsOutput
{
    /// <summary>All figures.</summary>
    public static JsonObject Json(DecodeStats stats) => new()
    {
        ["tokens"] = stats.Tokens,
        ["rounds"] = stats.Rounds,
        ["calls"] = stats.Calls,
        ["drafter_calls"] = stats.DrafterCalls,
        ["rows_per_call"] = Output.Number(stats.RowsPerCall),
        ["accepted_per_round"] = Output.Number(stats.AcceptedPerRound),
        ["correct_per_round"] = Output.Number(stats.CorrectPerRound),
        ["own_accepted_per_round"] = Output.Number(stats.OwnAcceptedPerRound),
        ["tokens_per_call"] = Output.Number(stats.TokensPerCall),
        ["ms_per_token"] = Output.Number(stats.MillisecondsPerToken),
        ["tokens_per_second"] = Output.Number(stats.Seconds > 0 ? stats.Tokens / stats.Seconds : 0),
        ["prompt_ms"] = Output.Number(1000 * stats.PromptSeconds),
    };

    /// <summary>The figures that matter, on one line.</summary>
    public static string Line(DecodeStats stats) =>
        Invariant($"{stats.Tokens} tokens in {stats.Rounds} rounds and {stats.Calls + stats.DrafterCalls} calls: ")
        + Invariant($"{stats.AcceptedPerRound:0.00} accepted per round, {stats.TokensPerCall:0.00} tokens per call, ")
        + Invariant($"{stats.MillisecondsPerToken:0.00} ms per token");

    /// <summary>For each slot j, the share of rounds in which slots 0 to j were all right.</summary>
    public static IEnumerable<double> BySlot(DecodeStats stats)
    {
        var shares = new List<double>();
        for (var slot = 0; slot < stats.SlotTried.Length && stats.SlotTried[slot] > 0; slot++)
        {
            shares.Add((double)stats.SlotRight[slot] / stats.SlotTried[slot]);
        }

        return shares;
    }

    /// <summary>Rounds by number of correct tokens.</summary>
    public static IEnumerable<double> Histogram(DecodeStats stats)
    {
        var rounds = new List<double>();
        foreach (var count in stats.CorrectHistogram)
        {
            rounds.Add(count);
        }

        return rounds;
    }

    /// <summary>The reason a text ended, as JSON names it.</summary>
    public static string Stop(StopReason reason, bool stopString) => stopString ? "stop_string" : reason switch
    {
        StopReason.EndToken => "end_token",
        StopReason.MaxTokens => "max_tokens",
        StopReason.ContextFull => "context_full",
        _ => "cancelled",
    };
}
