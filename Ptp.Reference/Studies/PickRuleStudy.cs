// ptp study pick-rules: adapters trained with the paper's rule, with tree pick and with a race, at equal cost, several seeds each.
//   correct tokens of a draft of 16, mean and spread over seeds; C-PTP guesses by the rule itself (no softness), O-PTP by argmax
// Features of u suit the rule: digits of each number for CDF and tree, clocks for the race. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Pick rules on trips.</summary>
internal static class PickRuleStudy
{
    private const int Seeds = 3;
    private static readonly (string Rule, string Embedding)[] s_rules =
        [("inverse-cdf", "fixed-point"), ("tree", "fixed-point"), ("race:26", "clocks:26")];

    public static void Run(StudySpace space)
    {
        var (trips, contexts) = (new SmallTrips(space), space.Cases(TripDrafts.Contexts));
        var table = new StudyTable("Correct tokens of a draft of 16 by pick rule, trips",
            Invariant($"Effort {space.Effort}: {trips.Steps()} steps each, {Seeds} seeds (mean, spread); {contexts} contexts. C-PTP's first token is exact."),
            "rule", "numbers per token", "O-PTP", "C-PTP", "C-PTP, slots without u");
        var lines = new List<SvgLine>();
        foreach (var (rule, embedding) in s_rules)
        {
            var cells = new List<string> { Invariant($"{PickRule.Parse(rule).NumbersPerToken(TripLanguage.Vocabulary)}") };
            foreach (var (reading, features) in ((SlotReading, string)[])[
                (SlotReading.OneHot, embedding), (SlotReading.Categorical, embedding), (SlotReading.Categorical, "constant")])
            {
                var bySeed = new List<int[]>();
                for (var seed = 1UL; seed <= Seeds; seed++)
                {
                    // Slots without u serve any rule: one training, read by each.
                    var recipe = new TripRecipe(reading, features)
                    {
                        Rule = features == "constant" ? "inverse-cdf" : rule,
                        Loss = reading == SlotReading.OneHot ? DistillationLoss.CrossEntropy : DistillationLoss.Divergence,
                        Seed = seed,
                    };
                    var ptp = trips.Adapter(recipe, PickRule.Parse(rule));
                    bySeed.Add(TripDrafts.Correct(space, trips.Base, ptp, contexts));
                }

                double[] means = [.. bySeed.Select(correct => TripDrafts.Mean(correct, TripModels.Slots))];
                var spread = Math.Sqrt(means.Sum(m => (m - means.Average()) * (m - means.Average())) / (Seeds - 1));
                cells.Add(Invariant($"{means.Average():0.00} ({spread:0.00})"));
                space.Note(Invariant($"{rule}, {reading}, {features}: {means.Average():0.00} correct"));
                if (features != "constant")
                {
                    lines.Add(StudyPlots.Horizon(
                        $"{(reading == SlotReading.OneHot ? "O-PTP" : "C-PTP")} {rule}", [.. bySeed.SelectMany(correct => correct)]));
                }
            }

            table.Row(rule, cells);
        }

        space.Write("pick-rules", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of N by pick rule (trips)", "N", "correct", lines));
    }
}
