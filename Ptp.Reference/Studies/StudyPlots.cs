// Lines that several studies draw.
// Source: TripDrafts' counts.
// Refuses: nothing.

using Ptp.Reference.Commands;

namespace Ptp.Reference.Studies;

/// <summary>Lines of plots.</summary>
internal static class StudyPlots
{
    /// <summary>Mean correct tokens of a draft of N = 1..16.</summary>
    public static SvgLine Horizon(string name, int[] correct) =>
        new(name, [.. Enumerable.Range(1, TripModels.Slots).Select(n => ((double)n, TripDrafts.Mean(correct, n)))]);
}
