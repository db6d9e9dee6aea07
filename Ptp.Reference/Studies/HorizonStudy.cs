// ptp study horizon: how many tokens of a draft of N are right, for O-PTP, C-PTP and independent slots of equal training (paper 6.3).
//   correct(N) = mean over contexts of the leading tokens of N drafted ones that equal the base's under the same u, N = 1, 2, 4, 8, 16
// Independent slots are read both ways, likeliest token and Pick(u, their law); categorical ones begin exact. Refuses: nothing.

using System.Globalization;
using System.Text;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;

namespace Ptp.Reference.Studies;

/// <summary>Accepted tokens against the horizon.</summary>
internal static class HorizonStudy
{
    private const int Contexts = 1500;
    private static readonly int[] s_horizons = [1, 2, 4, 8, 16];

    // The paper's taxi study: O-PTP and the best independent model at these horizons.
    private static readonly double[] s_paper = [1.00, 1.99, 3.93, 7.59, 13.90];
    private static readonly double[] s_paperIndependent = [1.00, 1.91, 3.53, 5.86, 8.40];

    public static void Run(StudySpace space)
    {
        var (models, contexts) = (new TripModels(space), space.Cases(Contexts));
        (string Name, SlotModel Ptp)[] all =
        [
            ("O-PTP", models.Distilled(SlotReading.OneHot, "fixed-point")),
            ("C-PTP", models.Distilled(SlotReading.Categorical, "fixed-point")),
            ("independent, argmax", models.Distilled(SlotReading.OneHot, "constant")),
            ("independent, Pick", models.Distilled(SlotReading.Categorical, "constant")),
        ];
        var rows = all.Select(model => (model.Name, Correct: Correct(models, model.Ptp, contexts))).ToArray();
        var independent = s_horizons.Select((_, i) => Math.Max(rows[2].Correct[i], rows[3].Correct[i])).ToArray();

        var text = new StringBuilder("# Correct tokens of a draft of N, trips\n\n");
        text.Append(CultureInfo.InvariantCulture, $"Effort {space.Effort}; {contexts} contexts; the base's law at temperature 1.\n\n");
        text.Append("| model | ").AppendJoin(" | ", s_horizons.Select(n => $"N = {n}")).Append(" |\n|---|").AppendJoin("|", s_horizons.Select(_ => "---")).Append("|\n");
        void Row(string name, IEnumerable<double> values) => text.Append(CultureInfo.InvariantCulture, $"| {name} | ")
            .AppendJoin(" | ", values.Select(v => v.ToString("0.00", CultureInfo.InvariantCulture))).Append(" |\n");
        foreach (var (name, correct) in rows)
        {
            Row(name, correct);
        }

        Row("O-PTP / best independent", rows[0].Correct.Zip(independent, (a, b) => a / b));
        Row("paper (taxi): O-PTP", s_paper);
        Row("paper: best independent", s_paperIndependent);
        Row("paper: ratio", s_paper.Zip(s_paperIndependent, (a, b) => a / b));
        space.Write("horizon", text.ToString(), SvgPlot.Draw("Correct tokens of a draft of N (trips)", "N", "correct",
            [.. rows.Select(r => new SvgLine(r.Name, [.. s_horizons.Zip(r.Correct, (n, c) => ((double)n, c))]))]));
        space.Note(text.ToString());
    }

    /// <summary>Mean leading tokens that are right, for each horizon.</summary>
    private static double[] Correct(TripModels models, SlotModel ptp, int contexts)
    {
        var sum = new double[s_horizons.Length];
        var plain = new Autoregressive(models.Base, TripModels.Law, ptp.Rule);
        var session = new ModelSession(models.Base, TripModels.Law, ptp.Rule);
        var (drafter, inversion) = ptp.Reading == SlotReading.OneHot ? (ptp.NewDrafter(), null) : ((IDrafter?)null, new Inversion(ptp));
        for (var i = 0; i < contexts; i++)
        {
            // A context of one to 23 zones of the base's own, then 16 tokens from fresh numbers.
            var context = plain.Decode([TripLanguage.Begin], Auxiliaries.FromSeed(900_000 + (ulong)i), new DecodeLimits(1 + i % 23, [])).Tokens;
            int[] prompt = [TripLanguage.Begin, .. context];
            var u = Auxiliaries.FromSeed(800_000 + (ulong)i);
            var truth = plain.Decode(prompt, u, new DecodeLimits(TripModels.Slots, [])).Tokens;
            // Behind a categorical draft stands the base's own row, whose law is exact: its first token needs no slot.
            var draft = drafter is not null ? Drafted(drafter, session, prompt, u) : [truth[0], .. Sampled(inversion!, prompt, u)[1..]];
            var right = draft.Zip(truth).TakeWhile(t => t.First == t.Second).Count();
            for (var h = 0; h < s_horizons.Length; h++)
            {
                sum[h] += Math.Min(right, s_horizons[h]) / (double)contexts;
            }
        }

        return sum;
    }

    private static int[] Drafted(IDrafter drafter, ModelSession session, int[] prompt, Auxiliaries u)
    {
        session.Start(prompt);
        drafter.Start(prompt);
        return drafter.Propose(session, u, 0, TripModels.Slots).Tokens.ToArray();
    }

    private static int[] Sampled(Inversion inversion, int[] prompt, Auxiliaries u)
    {
        var texts = new SplitTexts([[.. prompt, .. new int[TripModels.Slots]]], [prompt.Length]);
        return inversion.Sample(texts, [.. Enumerable.Range(0, TripModels.Slots).Select(g => u.At(g, 0))]);
    }
}
