// ptp study horizon: how many tokens of a draft of N are right, for O-PTP, C-PTP and independent slots of equal training (paper 6.3).
//   correct(N) = mean over contexts of the leading tokens of N drafted ones that equal the base's under the same u, N = 1, 2, 4, 8, 16
// Independent slots are read both ways, likeliest token and Pick(u, their law); categorical ones begin exact. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Accepted tokens against the horizon.</summary>
internal static class HorizonStudy
{
    private static readonly int[] s_horizons = [1, 2, 4, 8, 16];

    // The paper's taxi study: O-PTP and the best independent model at these horizons.
    private static readonly double[] s_paper = [1.00, 1.99, 3.93, 7.59, 13.90];
    private static readonly double[] s_paperIndependent = [1.00, 1.91, 3.53, 5.86, 8.40];

    public static void Run(StudySpace space)
    {
        var (models, contexts) = (new TripModels(space), space.Cases(TripDrafts.Contexts));
        (string Name, SlotModel Ptp)[] all =
        [
            ("O-PTP", models.Distilled(SlotReading.OneHot, "fixed-point")),
            ("C-PTP", models.Distilled(SlotReading.Categorical, "fixed-point")),
            ("independent, argmax", models.Distilled(SlotReading.OneHot, "constant")),
            ("independent, Pick", models.Distilled(SlotReading.Categorical, "constant")),
        ];
        var rows = all.Select(model => (model.Name, Counts: TripDrafts.Correct(space, models.Base, model.Ptp, contexts)))
            .Select(model => (model.Name, Correct: s_horizons.Select(n => TripDrafts.Mean(model.Counts, n)).ToArray())).ToArray();
        var independent = s_horizons.Select((_, i) => Math.Max(rows[2].Correct[i], rows[3].Correct[i])).ToArray();

        var table = new StudyTable("Correct tokens of a draft of N, trips",
            Invariant($"Effort {space.Effort}; {contexts} contexts; the base's law at temperature 1."), ["model", .. s_horizons.Select(n => $"N = {n}")]);
        foreach (var (name, correct) in rows)
        {
            table.Row(name, correct);
        }

        table.Row("O-PTP / best independent", rows[0].Correct.Zip(independent, (a, b) => a / b)).Row("paper (taxi): O-PTP", s_paper)
            .Row("paper: best independent", s_paperIndependent).Row("paper: ratio", s_paper.Zip(s_paperIndependent, (a, b) => a / b));
        space.Write("horizon", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of N (trips)", "N", "correct",
            [.. rows.Select(r => new SvgLine(r.Name, [.. s_horizons.Zip(r.Correct, (n, c) => ((double)n, c))]))]));
    }
}
