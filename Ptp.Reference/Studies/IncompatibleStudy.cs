// ptp study incompatible: do the first two tokens of a draft fit each other? The square of (u1, u2) drawn (paper 6.2, its two-token figure).
//   walks of a king: a zone one step from the last one follows, any other is impossible; incompatible: d0 d1 that the language forbids
// Slots' own tokens are counted, none of O-PTP's replaced by the exact first. Refuses: nothing.

using System.Globalization;
using System.Text;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Incompatible pairs of walks.</summary>
internal static class IncompatibleStudy
{
    private const int Contexts = 4000;
    private const int Side = 48; // cells of the drawn square along each axis
    private const int Drawn = 7; // the context that is drawn
    private const string OneHot = "O-PTP";
    private const string Independent = "independent, Pick";

    public static void Run(StudySpace space)
    {
        var (walks, contexts) = (new KingWalk(space), space.Cases(Contexts));
        (string Name, SlotReading Reading, string Embedding, SlotStart Start)[] models =
        [
            (OneHot, SlotReading.OneHot, "linear:33", SlotStart.LastToken),
            (Independent, SlotReading.Categorical, "constant", SlotStart.LastToken),
            ("C-PTP", SlotReading.Categorical, "linear:33", SlotStart.LastToken),
            ("O-PTP, slots that begin alike", SlotReading.OneHot, "linear:33", SlotStart.MeanToken),
        ];
        var table = new StudyTable("Drafts whose first two tokens cannot follow each other, walks of a king",
            Invariant($"Effort {space.Effort}: {walks.Steps} steps each; {contexts} contexts; T {KingWalk.Sampling.Temperature}; adapters of two slots on a base of {KingWalk.Config.Parameters / 1e3:0}k parameters."),
            "model", "incompatible %", "first token wrong %", "pair wrong %");
        table.Row("base, token by token", Invariant($"{100 * Plain(space, walks, contexts):0.00}"), "0.00", "0.00")
            .Row("independent, exact marginals and Pick (computed)", Invariant($"{100 * Ideal(walks, contexts):0.00}"), "0.00", "")
            .Note("Paper (code, TinyLlama): O-PTP below 1 %, the best independent model about 60 %, token by token 0.");
        var squares = new List<(string Name, (int, int)[] Pairs)>();
        foreach (var (name, reading, embedding, start) in models)
        {
            var ptp = walks.Pairs(reading, embedding, start);
            var (bad, first, pair) = Count(space, walks, ptp, contexts);
            table.Row(name, new[] { bad, first, pair }.Select(share => Invariant($"{100 * share:0.00}")));
            space.Note(Invariant($"{name}: {100 * bad:0.00} % incompatible"));
            if (squares.Count == 0)
            {
                squares.Add(("base", Square(walks, ptp, own: false)));
            }

            if (name is OneHot or Independent)
            {
                squares.Add((name, Square(walks, ptp, own: true)));
            }

            space.Write("incompatible", table.ToString(), Draw(walks, squares)); // a stopped study shows what it has
        }
    }

    /// <summary>Shares of drafts whose pair is impossible, whose first token, or pair, is another than the base's.</summary>
    private static (double Bad, double First, double Pair) Count(StudySpace space, KingWalk walks, SlotModel ptp, int contexts)
    {
        var plain = new Autoregressive(walks.Base, KingWalk.Sampling, ptp.Rule);
        var session = new ModelSession(walks.Base, KingWalk.Sampling, ptp.Rule);
        var drafter = ptp.NewDrafter();
        var (bad, first, pair) = (0, 0, 0);
        for (var i = 0; i < contexts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var prompt = KingWalk.Context(plain, ptp.Rule, i);
            var u = Auxiliaries.FromSeed(700_000 + (ulong)i, ptp.NumbersPerToken);
            var (d0, d1) = Pair(session, drafter, prompt, u);
            bad += Fits(prompt, d0, d1) ? 0 : 1;
            var truth = plain.Decode(prompt, u, new DecodeLimits(2, [])).Tokens;
            first += d0 != truth[0] ? 1 : 0;
            pair += d0 != truth[0] || d1 != truth[1] ? 1 : 0;
        }

        return (bad / (double)contexts, first / (double)contexts, pair / (double)contexts);
    }

    /// <summary>The same of independent slots that know the exact laws: d0 ~ P(. | z), d1 ~ sum_a P(a | z) P(. | a), drawn apart. No training brings them lower.</summary>
    private static double Ideal(KingWalk walks, int contexts)
    {
        double[][] next = [.. Enumerable.Range(0, TripLanguage.Zones).Select(zone => Sharper(KingWalk.Law([zone])))];
        double[] misfit = [.. next.Select(first => 1 - first.Select((p, a) =>
            p * Enumerable.Range(0, TripLanguage.Zones).Where(b => KingWalk.IsStep(a, b)).Sum(b => first.Select((q, c) => q * next[c][b]).Sum())).Sum())];
        var plain = new Autoregressive(walks.Base, KingWalk.Sampling, InverseCdf.Instance);
        return Enumerable.Range(0, contexts).Average(i => KingWalk.Context(plain, InverseCdf.Instance, i)[^1] is var zone && zone < TripLanguage.Zones ? misfit[zone] : 1);
    }

    private static double[] Sharper(double[] law)
    {
        double[] powers = [.. law.Select(p => Math.Pow(p, 1 / KingWalk.Sampling.Temperature))];
        return [.. powers.Select(p => p / powers.Sum())];
    }

    /// <summary>The same of the base's own tokens: what it has not learned of the language.</summary>
    private static double Plain(StudySpace space, KingWalk walks, int contexts)
    {
        var plain = new Autoregressive(walks.Base, KingWalk.Sampling, InverseCdf.Instance);
        return Enumerable.Range(0, contexts).Count(i =>
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var prompt = KingWalk.Context(plain, InverseCdf.Instance, i);
            var pair = plain.Decode(prompt, Auxiliaries.FromSeed(700_000 + (ulong)i), new DecodeLimits(2, [])).Tokens;
            return !Fits(prompt, pair[0], pair[1]);
        }) / (double)contexts;
    }

    /// <summary>Whether the language allows two zones behind a context; the begin token is no zone.</summary>
    private static bool Fits(int[] prompt, int first, int second) => first < TripLanguage.Zones && second < TripLanguage.Zones
        && KingWalk.IsStep(prompt[^1], first) && KingWalk.IsStep(first, second);

    private static (int First, int Second) Pair(ModelSession session, IDrafter drafter, int[] prompt, Auxiliaries u)
    {
        session.Start(prompt);
        drafter.Start(prompt);
        var draft = drafter.Propose(session, u, 0, 2).Tokens;
        return (draft[0], draft[1]);
    }

    /// <summary>The pair at each place of the square, row by row of u2, [Side * Side].</summary>
    private static (int, int)[] Square(KingWalk walks, SlotModel ptp, bool own)
    {
        var plain = new Autoregressive(walks.Base, KingWalk.Sampling, ptp.Rule);
        var (session, drafter) = (new ModelSession(walks.Base, KingWalk.Sampling, ptp.Rule), ptp.NewDrafter());
        var prompt = KingWalk.Context(plain, ptp.Rule, Drawn);
        return [.. from y in Enumerable.Range(0, Side) from x in Enumerable.Range(0, Side) select Of((x + 0.5f) / Side, (y + 0.5f) / Side)];

        (int, int) Of(float u1, float u2)
        {
            var u = Auxiliaries.FromValues([u1, u2]);
            return own ? Pair(session, drafter, prompt, u) : plain.Decode(prompt, u, new DecodeLimits(2, [])).Tokens is var t ? (t[0], t[1]) : default;
        }
    }

    /// <summary>A square per model: colour by the first token, lightness by the second, black where they cannot follow each other.</summary>
    private static string Draw(KingWalk walks, List<(string Name, (int First, int Second)[] Pairs)> squares)
    {
        const int Cell = 5, Gap = 30, Top = 60, Size = Side * Cell;
        var prompt = KingWalk.Context(new Autoregressive(walks.Base, KingWalk.Sampling, InverseCdf.Instance), InverseCdf.Instance, Drawn);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Gap + squares.Count * (Size + Gap)} {Top + Size + 40}\" ")
            .Append("font-family=\"sans-serif\" font-size=\"13\" fill=\"#777777\" shape-rendering=\"crispEdges\">\n")
            .Append(CultureInfo.InvariantCulture, $"<text x=\"{Gap}\" y=\"22\" font-size=\"15\">Two tokens by (u1, u2): colour first, shade second, black impossible</text>\n");
        for (var (s, left) = (0, Gap); s < squares.Count; s++, left += Size + Gap)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left}\" y=\"{Top - 8}\">{squares[s].Name}</text>\n");
            for (var y = 0; y < Side; y++)
            {
                for (var x = 0; x < Side;)
                {
                    var pair = squares[s].Pairs[y * Side + x];
                    var end = x;
                    while (end < Side && squares[s].Pairs[y * Side + end] == pair)
                    {
                        end++;
                    }

                    var colour = Fits(prompt, pair.First, pair.Second) ? Invariant($"hsl({pair.First * 137 % 360},55%,{30 + pair.Second * 7 % 25 * 2}%)") : "#000000";
                    svg.Append(CultureInfo.InvariantCulture,
                        $"<rect x=\"{left + x * Cell}\" y=\"{Top + (Side - 1 - y) * Cell}\" width=\"{(end - x) * Cell}\" height=\"{Cell}\" fill=\"{colour}\"/>\n");
                    x = end;
                }
            }

            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + Size / 2}\" y=\"{Top + Size + 18}\" text-anchor=\"middle\">u1</text>\n")
                .Append(CultureInfo.InvariantCulture, $"<text x=\"{left - 20}\" y=\"{Top + Size / 2}\">u2</text>\n");
        }

        return svg.Append("</svg>\n").ToString();
    }
}
