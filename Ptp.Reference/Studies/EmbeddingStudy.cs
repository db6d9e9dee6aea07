// ptp study embeddings: the features of u that slots see (paper 4.1 and its ablation), O-PTP by cross-entropy and C-PTP by KL.
//   correct tokens of a draft of 16; every embedding of the library that serves one number per token
// The paper's "lin" is an affine map of the features, its "NN" a small network, here beside that map. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Embeddings of u on trips.</summary>
internal static class EmbeddingStudy
{
    // Name here, name and figures in the paper (taxi, N = 100).
    private static readonly (string Name, string[] Paper)[] s_embeddings =
    [
        ("number", ["", ""]),
        ("number+mlp:64", ["fl + NN: 35.9", "28.8"]),
        ("thermometer:32", ["th + lin: 40.9", "36.8"]),
        ("thermometer:32+mlp:64", ["th + NN: 39.1", "36.6"]),
        ("fixed-point", ["ar + lin: 45.4", "40.4"]),
        ("fixed-point+mlp:64", ["ar + NN: 46.1", "35.7"]),
        ("binary-float", ["the paper's final choice", ""]),
        ("linear:3", ["its code's default", ""]),
        ("linear:33", ["", ""]),
        ("table:32", ["its code's 'round'", ""]),
        ("cosine", ["its code's 'quarter_cos'", ""]),
        ("sawtooth", ["its code's", ""]),
        ("constant", ["MTP: 10.1", "10.1"]),
    ];

    public static void Run(StudySpace space)
    {
        var trips = new SmallTrips(space);
        var table = new StudyTable("Correct tokens of a draft of 16 by embedding of u, trips",
            Invariant($"Effort {space.Effort}: {trips.Steps()} steps each; {space.Cases(TripDrafts.Contexts)} contexts. C-PTP's first token is exact."),
            "embedding", "O-PTP", "C-PTP", "paper: O-PTP", "paper: C-PTP");
        var lines = new List<SvgLine>();
        foreach (var (name, paper) in s_embeddings)
        {
            var oneHot = trips.Correct(new TripRecipe(SlotReading.OneHot, name));
            var categorical = trips.Correct(new TripRecipe(SlotReading.Categorical, name) { Loss = DistillationLoss.Divergence });
            table.Row(name, [.. new[] { oneHot, categorical }.Select(c => Invariant($"{TripDrafts.Mean(c, TripModels.Slots):0.00}")), .. paper]);
            lines.Add(StudyPlots.Horizon(name, oneHot));
        }

        space.Write("embeddings", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of N by embedding of u, O-PTP (trips)", "N", "correct", lines));
    }
}
