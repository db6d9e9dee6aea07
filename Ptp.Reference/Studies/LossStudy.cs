// ptp study losses: what slots are taught by against whose texts they are taught on (paper 6.3, first table of the taxi study).
//   C-PTP by KL, reverse KL and cross-entropy, O-PTP by binary and plain cross-entropy; texts of the base, of the slots, of the language
// All of one size and training; correct tokens of a draft of 16. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Losses and proposals on trips.</summary>
internal static class LossStudy
{
    private static readonly (string Name, SlotReading Reading, DistillationLoss Loss)[] s_losses =
    [
        ("C-PTP kl", SlotReading.Categorical, DistillationLoss.Divergence),
        ("C-PTP kl-rev", SlotReading.Categorical, DistillationLoss.ReverseDivergence),
        ("C-PTP ce", SlotReading.Categorical, DistillationLoss.CrossEntropy),
        ("O-PTP bce", SlotReading.OneHot, DistillationLoss.BinaryCrossEntropy),
        ("O-PTP ce", SlotReading.OneHot, DistillationLoss.CrossEntropy),
    ];

    // kl, kl-rev (C-PTP), none, bce, ce (O-PTP); the paper's taxi study, N = 100.
    private static readonly (string Name, string[] Cells)[] s_paper =
    [
        ("paper: teacher", ["40", "41", "", "45", "44", "10.1"]),
        ("paper: student", ["44", "39", "", "45", "45", "10.1"]),
        ("paper: dataset", ["29", "36", "", "44", "43", "10.1"]),
    ];

    public static void Run(StudySpace space)
    {
        var trips = new SmallTrips(space);
        var independent = trips.Correct(new TripRecipe(SlotReading.Categorical, "constant") { Loss = DistillationLoss.Divergence });
        var table = new StudyTable("Correct tokens of a draft of 16 by loss and proposals, trips",
            Invariant($"Effort {space.Effort}: {trips.Steps()} steps each; {independent.Length} contexts. C-PTP's first token is exact."),
            ["proposals", .. s_losses.Select(l => l.Name), "independent"]);
        var lines = new List<SvgLine>();
        foreach (var source in (string[])["teacher", "student", "dataset"])
        {
            var correct = s_losses.Select(l => trips.Correct(new TripRecipe(l.Reading, "fixed-point")
            {
                Loss = l.Loss,
                Student = source == "student",
                Dataset = source == "dataset",
            })).ToArray();
            table.Row(source, correct.Append(independent).Select(c => TripDrafts.Mean(c, TripModels.Slots)));
            if (source == "teacher")
            {
                lines.AddRange(s_losses.Select(l => l.Name).Append("independent").Zip(correct.Append(independent), StudyPlots.Horizon));
            }
        }

        foreach (var (name, cells) in s_paper)
        {
            table.Row(name, cells);
        }

        space.Write("losses", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of N by loss, the base's texts (trips)", "N", "correct", lines));
    }
}
