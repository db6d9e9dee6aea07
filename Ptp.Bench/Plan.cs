// How long is measured: a quick form of every row for a look, a full one for the record, a tiny one that only proves that all runs.
// Rounds are interleaved: each measures the floor, then ours, then every peer, so that a slow moment of the machine meets all alike.
// Refuses: nothing. Values are medians over rounds, ratios and shares are medians of what was paired within a round.

namespace Ptp.Bench;

/// <summary>Rounds and seconds.</summary>
/// <param name="Name">As typed.</param>
/// <param name="Rounds">Rounds of each row.</param>
/// <param name="Slice">Least seconds of one contestant in a round.</param>
/// <param name="Pause">Milliseconds between contestants: the threads of some libraries spin on for tens of them.</param>
internal sealed record Plan(string Name, int Rounds, double Slice, int Pause)
{
    /// <summary>Everything in a few minutes.</summary>
    public static readonly Plan Quick = new("quick", 4, 0.04, 100);

    /// <summary>For tables that are kept.</summary>
    public static readonly Plan Full = new("full", 7, 0.12, 150);

    /// <summary>One call of each, on the smallest sizes.</summary>
    public static readonly Plan Tiny = new("tiny", 1, 0, 0);

    /// <summary>Rounds of what takes seconds each.</summary>
    public int LongRounds => Math.Max(1, Rounds / 2 + (this == Full ? 1 : 0));

    /// <summary>What belongs to this plan.</summary>
    public T Of<T>(T tiny, T quick, T full) => this == Tiny ? tiny : this == Full ? full : quick;
}
