// ptp study joint: the joint law of three zones behind a context, all 15,625 of them, against the language's own.
//   KL(P || P_theta), P_theta(t) = volume of the u that write t = E[prod_k P_theta(t_k | t_<i, u_<k)], u in the cells of t (paper 3.5)
// Volumes are means over places in the cells, so noise makes the KL larger, never smaller, in the mean. Refuses: nothing.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Joint laws of short windows.</summary>
internal static class JointStudy
{
    private const int Contexts = 12;
    private const int Places = 8;

    public static void Run(StudySpace space)
    {
        var trips = new SmallTrips(space);
        var contexts = Math.Max(1, space.Cases(50 * Contexts) / 50);
        var held = TripModels.Trips(contexts, "windows");
        int[][] prompts = [.. held.Select((trip, i) => trip[..(3 + 3 * i % 30)])];
        var exact = prompts.Select(Exact).ToArray();
        var table = new StudyTable("KL of the joint law of three zones from the exact one, trips",
            Invariant($"Effort {space.Effort}; {contexts} contexts, all {exact[0].Length} windows of each, {Places} places in each cell; nats."),
            "model", "KL of one zone", "of two", "of three", "share of independent's");
        (string Name, SlotModel Ptp)[] models =
        [
            ("independent by inversion", trips.Inverse("constant", "inverse-cdf")),
            ("C-PTP by inversion, paper's rule", trips.Inverse("fixed-point", "inverse-cdf")),
            ("C-PTP by inversion, race", trips.Inverse("clocks:26", "race:26")),
        ];
        var lines = new List<SvgLine>();
        var reference = 0.0;
        foreach (var (name, ptp) in models)
        {
            var divergence = new double[3];
            foreach (var (prompt, law) in prompts.Zip(exact))
            {
                var own = Joint(space, ptp, prompt);
                for (var window = 0; window < 3; window++)
                {
                    var (p, q) = (Marginal(law, window + 1), Marginal(own, window + 1));
                    divergence[window] += p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum() / contexts;
                }
            }

            reference = reference > 0 ? reference : divergence[2];
            table.Row(name, [.. divergence.Select(d => Invariant($"{d:0.0000}")), Invariant($"{divergence[2] / reference:0.000}")]);
            lines.Add(new SvgLine(name, [.. divergence.Select((d, i) => (i + 1.0, d))]));
            space.Note(Invariant($"{name}: {divergence[2]:0.0000}"));
        }

        space.Write("joint", table.ToString(), SvgPlot.Draw("KL of the joint law from the exact one (trips)", "zones", "nats", lines));
    }

    /// <summary>The language's law of three zones, [25 * 25 * 25].</summary>
    private static double[] Exact(int[] prompt)
    {
        var joint = new double[TripLanguage.Zones * TripLanguage.Zones * TripLanguage.Zones];
        var index = 0;
        var trip = prompt[1..].ToList();
        void Fill(double probability, int depth)
        {
            var law = TripLanguage.Law(trip.ToArray());
            for (var zone = 0; zone < TripLanguage.Zones; zone++)
            {
                if (depth == 2)
                {
                    joint[index++] = probability * law[zone];
                    continue;
                }

                trip.Add(zone);
                Fill(probability * law[zone], depth + 1);
                trip.RemoveAt(trip.Count - 1);
            }
        }

        Fill(1, 0);
        return joint;
    }

    /// <summary>
    /// The model's law of three zones: one inversion per pair of first zones and place, whose third law gives all third zones at once.
    /// </summary>
    private static double[] Joint(StudySpace space, SlotModel ptp, int[] prompt)
    {
        const int Zones = TripLanguage.Zones;
        var joint = new double[Zones * Zones * Zones];
        var inversion = new Inversion(ptp);
        int[][] pairs = [.. from first in Enumerable.Range(0, Zones) from second in Enumerable.Range(0, Zones) select (int[])[.. prompt, first, second, 0]];
        var texts = new SplitTexts(pairs, [.. pairs.Select(_ => prompt.Length)]);
        for (var place = 0; place < Places; place++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var inferred = inversion.Sequential(texts, (ulong)(place + 1) << 48);
            var laws = inversion.LastLaws(texts, inferred.U);
            for (var pair = 0; pair < pairs.Length; pair++)
            {
                var before = Math.Exp(inferred.LogLikelihood[3 * pair] + inferred.LogLikelihood[3 * pair + 1]) / Places;
                for (var third = 0; third < Zones; third++)
                {
                    joint[pair * Zones + third] += before * laws[pair][third];
                }
            }
        }

        return joint;
    }

    /// <summary>The law of the first zones alone.</summary>
    private static double[] Marginal(double[] joint, int zones)
    {
        var each = joint.Length / (int)Math.Pow(TripLanguage.Zones, zones);
        return [.. joint.Chunk(each).Select(part => part.Sum())];
    }
}
