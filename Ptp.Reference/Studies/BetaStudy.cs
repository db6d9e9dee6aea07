// ptp study beta: where in its token's cell u is drawn in training, Beta(b, b): b < 1 near the borders, b > 1 in the middle (paper 1.3).
//   correct tokens of a draft of 16 under uniform u, which is what decoding draws
// All of one size and training. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Places of u in training, on trips.</summary>
internal static class BetaStudy
{
    private static readonly (double Beta, string OneHot, string Categorical)[] s_places =
        [(0.3, "", ""), (0.5, "13.8", "13.5"), (1, "13.9", "13.8"), (2, "12.9", "13.6")];

    public static void Run(StudySpace space)
    {
        var trips = new SmallTrips(space);
        var table = new StudyTable("Correct tokens of a draft of 16 by places of u in training, trips",
            Invariant($"Effort {space.Effort}: {trips.Steps()} steps each; {space.Cases(TripDrafts.Contexts)} contexts."),
            "b of Beta(b, b)", "O-PTP", "C-PTP", "paper: O-PTP", "paper: C-PTP");
        var (oneHots, categoricals) = (new List<(double, double)>(), new List<(double, double)>());
        foreach (var (beta, paperOneHot, paperCategorical) in s_places)
        {
            var oneHot = TripDrafts.Mean(trips.Correct(new TripRecipe(SlotReading.OneHot, "fixed-point") { Beta = beta }), TripModels.Slots);
            var categorical = TripDrafts.Mean(trips.Correct(
                new TripRecipe(SlotReading.Categorical, "fixed-point") { Beta = beta, Loss = DistillationLoss.Divergence }), TripModels.Slots);
            table.Row(Invariant($"{beta}"), Invariant($"{oneHot:0.00}"), Invariant($"{categorical:0.00}"), paperOneHot, paperCategorical);
            oneHots.Add((beta, oneHot));
            categoricals.Add((beta, categorical));
        }

        space.Write("beta", table.ToString(), SvgPlot.Draw(
            "Correct tokens of a draft of 16 by places of u in training (trips)", "b", "correct", [new("O-PTP", oneHots), new("C-PTP", categoricals)]));
    }
}
