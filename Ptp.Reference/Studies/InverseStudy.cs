// ptp study iat: C-PTP trained on data alone, by inversion, against an autoregressive model of the same size and steps (paper 3.5).
//   perplexity by position behind a split: exp of the mean of -log P_theta(t_k | t_<i, u_i..u_{k-1}) at inferred u; exact law beside it
// Independent slots trained the same way show what not seeing u costs. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Perplexity of C-PTP without a teacher.</summary>
internal static class InverseStudy
{
    private const int Trips = 1500;

    // Table of the paper's first version: perplexities of t_1, t_2, t_3, t_4, t_8, t_16; all positions 19.88 against 19.81.
    private const string Paper = "Paper (taxi): C-PTP 20.0, 19.8, 20.1, 20.0, 20.0, 19.7 at positions 1, 2, 3, 4, 8, 16; in all 19.88 against 19.81 (ratio 1.004).";

    public static void Run(StudySpace space)
    {
        var models = new SmallTrips(space);
        var trips = TripModels.HeldOut(space.Cases(Trips));
        var texts = new SplitTexts(
            [.. trips.Select((trip, i) => trip[..(Start(i) + TripModels.Slots)])], [.. trips.Select((_, i) => Start(i))]);
        (string Name, double[] Nats)[] rows =
        [
            ("exact law", Exact(texts)),
            ("autoregressive", PositionLoss.OfNextToken(models.InverseBase, texts, TripModels.Law)),
            ("C-PTP by inversion, race, head of 8 tokens", Inferred(models.Inverse("clocks:26", "race:26", 8))),
            ("C-PTP by inversion, race, head of 1 token", Inferred(models.Inverse("clocks:26", "race:26", 1))),
            ("independent by inversion, head of 1 token", Inferred(models.Inverse("constant", "race:26", 1))),
            ("C-PTP by inversion, race", Inferred(models.Inverse("clocks:26", "race:26"))),
            ("C-PTP by inversion, paper's rule", Inferred(models.Inverse("fixed-point", "inverse-cdf"))),
            ("independent by inversion", Inferred(models.Inverse("constant", "inverse-cdf"))),
        ];
        double[] Inferred(SlotModel ptp) => PositionLoss.OfSlots(ptp, texts, 77);
        var table = new StudyTable("Perplexity by position behind the split, trips",
            Invariant($"Effort {space.Effort}; {trips.Length} held-out trips, each split once, {TripModels.Slots} tokens behind the split."),
            ["model", .. Enumerable.Range(1, TripModels.Slots).Select(k => $"{k}"), "all", "/ autoregressive", "worst position"]);
        foreach (var (name, nats) in rows)
        {
            double[] ratios = [.. nats.Zip(rows[1].Nats, (own, plain) => Math.Exp(own - plain))];
            table.Row(name, [.. ((double[])[.. nats, nats.Average()]).Select(n => Invariant($"{Math.Exp(n):0.00}")),
                Invariant($"{Math.Exp(nats.Average() - rows[1].Nats.Average()):0.000}"), Invariant($"{ratios.Max():0.000}")]);
        }

        space.Write("iat", table.Note(Paper).ToString(), SvgPlot.Draw("Perplexity by position behind the split (trips)", "position", "perplexity",
            [.. rows.Select(r => new SvgLine(r.Name, [.. r.Nats.Select((n, k) => (k + 1.0, Math.Exp(n)))]))]));
    }

    private static int Start(int trip) => 2 + trip % (TripModels.Length - TripModels.Slots - 1);

    private static double[] Exact(SplitTexts texts) => PositionLoss.Mean(texts, [.. texts.Tokens().Select(p =>
    {
        var (text, place) = (texts.Texts[p.Text], texts.Starts[p.Text] + p.Slot);
        return Math.Log(TripLanguage.Law(text.AsSpan(1, place - 1))[text[place]]);
    })]);
}
