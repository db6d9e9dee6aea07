// ptp study coupling: how often the same u picks the same token from the base's law p and a small model's law q, by pick rule and order; and from
// a law of stories260K (in the folder that PTP_DATA names, if it is there) and the same law with noise of standard deviation 0.4 on its logits.
//   shared u in some order: sum_j |[F_{j-1}, F_j) and [G_{j-1}, G_j)|, exact; tree and races: counted over fresh u; bound: 1 - TV(p, q)
// Published: any coupling <= 1 - TV; a race of all tokens >= (1 - TV)/(1 + TV) (Daliri et al. 2024); shared u depends on the order.
// Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Agreement of couplings.</summary>
internal static class CouplingStudy
{
    private const int Texts = 24;
    private const int MostTokens = 64;
    private const int Draws = 16; // per place and rule
    private const int Permutations = 20; // per place, for the range of orders
    private const double Noise = 0.4;

    /// <summary>Logits of q behind every token, [T][V], from the tokens and the logits of p.</summary>
    private delegate float[][] Other(int[] tokens, float[][] logits);

    private static readonly (string Name, string Rule)[] s_rules = [("tree pick", "tree"), ("race of 46 twice", "race:46"), ("race of all tokens (Gumbel)", "gumbel")];

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var columns = new List<string>();
        var rows = new Dictionary<string, List<double>>();
        void Measure(string name, ModelChoice of, SamplingOptions law, Other other)
        {
            foreach (var (row, value) in Agreement(space, Laws(space, of, law, other), of.Model.Config.VocabularySize))
            {
                (rows.TryGetValue(row, out var values) ? values : rows[row] = []).Add(value);
            }

            columns.Add(name);
            space.Note(name);
        }

        foreach (var name in (string[])[DraftShelf.Small, DraftShelf.Smallest])
        {
            var small = new DraftShelf(space.Backend, null, isDefault: true).Find(name) ?? throw new PtpException(
                "Run a study", $"no folder models/drafts/{name} here, in a folder above, or beside ptp", "the models that come with ptp", "Run it inside the repository.");
            foreach (var temperature in (double[])[0.7, 1])
            {
                Measure(Invariant($"{name}, T {temperature}"), model, new SamplingOptions { Temperature = temperature }, (tokens, _) => Logits(space, small, tokens));
            }
        }

        if (Stories(space) is { } stories)
        {
            var random = new RandomStream(2, "noise on logits");
            foreach (var law in (SamplingOptions[])[new() { Temperature = 0.7, TopP = 0.9 }, new() { Temperature = 1 }])
            {
                Measure(Invariant($"stories260K and noise, T {law.Temperature}, top-p {law.TopP}"), stories, law,
                    (_, logits) => [.. logits.Select(row => Array.ConvertAll(row, x => x + (float)(Noise * random.NextGaussian())))]);
            }
        }

        var table = new StudyTable("The same u, two laws: how often the tokens are equal",
            Invariant($"p: the embedded model; q: a small model; every place of {space.Cases(Texts)} texts of {space.Tokens(MostTokens)} tokens. In brackets the share of 1 - TV."),
            ["coupling", .. columns]);
        var most = rows["1 - TV: the most that any coupling reaches"];
        foreach (var (name, values) in rows)
        {
            table.Row(name, values.Select((v, i) => Invariant($"{v:0.000} ({v / most[i]:0.00})")));
        }

        space.Write("coupling", table.Note(
            "Published: laws of six tokens, 1 - TV 0.252: shared u 0.0007 to 0.252 by order, a race of all tokens 0.202 (0.80 of the most), its bound 0.144. An order of one's own probabilities (K-Forcing) is not the same for p and q.")
            .ToString(), SvgPlot.Draw("Equal tokens of the same u", "pair (as the table's columns)", "probability",
            [.. rows.Select(row => new SvgLine(row.Key, [.. row.Value.Select((v, i) => (i + 1.0, v))]))]));
    }

    /// <summary>|[F_{j-1}, F_j) and [G_{j-1}, G_j)| summed over j: P(equal) of the inverse CDF over ids in the given orders.</summary>
    /// <param name="p">A law, [V].</param>
    /// <param name="q">Another, [V].</param>
    /// <param name="orderOfP">Ids by their place in p's running sum, [V].</param>
    /// <param name="orderOfQ">The same for q.</param>
    internal static double Overlap(ReadOnlySpan<float> p, ReadOnlySpan<float> q, ReadOnlySpan<int> orderOfP, ReadOnlySpan<int> orderOfQ)
    {
        var (low, high) = (new double[q.Length], new double[q.Length]);
        var sum = 0.0;
        foreach (var id in orderOfQ)
        {
            low[id] = sum;
            high[id] = sum += q[id];
        }

        (sum, var equal) = (0.0, 0.0);
        foreach (var id in orderOfP)
        {
            var (from, to) = (sum, sum += p[id]);
            equal += Math.Max(0, Math.Min(to, high[id]) - Math.Max(from, low[id]));
        }

        return equal;
    }

    /// <summary>Share of fresh u at which a rule picks the same token from both laws.</summary>
    internal static double Counted(PickRule rule, ReadOnlySpan<float> p, ReadOnlySpan<float> q, int draws, RandomStream random)
    {
        var (u, equal) = (new float[rule.NumbersPerToken(p.Length)], 0);
        for (var draw = 0; draw < draws; draw++)
        {
            for (var i = 0; i < u.Length; i++)
            {
                u[i] = (float)Math.Min(random.NextDouble(), 1 - 1e-7);
            }

            equal += rule.Pick(u, p) == rule.Pick(u, q) ? 1 : 0;
        }

        return (double)equal / draws;
    }

    /// <summary>Rows of the table for pairs of laws: means over all places.</summary>
    private static IEnumerable<(string Row, double Mean)> Agreement(StudySpace space, List<(float[] P, float[] Q)> places, int vocabulary)
    {
        var random = new RandomStream(1, "couplings");
        int[] ids = [.. Enumerable.Range(0, vocabulary)];
        int[] permuted = Permuted(ids, random);
        var mean = new double[vocabulary];
        foreach (var (p, _) in places)
        {
            for (var id = 0; id < vocabulary; id++)
            {
                mean[id] += p[id];
            }
        }

        int[] frequent = Sorted(mean);
        double Mean(Func<float[], float[], double> of) => places.Average(place =>
        {
            space.Cancellation.ThrowIfCancellationRequested();
            return of(place.P, place.Q);
        });
        yield return ("1 - TV: the most that any coupling reaches", Mean(Common));
        yield return ("shared u, ids in order (the paper's)", Mean((p, q) => Overlap(p, q, ids, ids)));
        yield return ("shared u, ids permuted", Mean((p, q) => Overlap(p, q, permuted, permuted)));
        yield return ("shared u, frequent tokens first", Mean((p, q) => Overlap(p, q, frequent, frequent)));
        yield return ("shared u, each law in its own order", Mean((p, q) => Overlap(p, q, Sorted(p), Sorted(q))));
        var ranges = places.Select(place => Enumerable.Range(0, Permutations).Select(_ => Permuted(ids, random))
            .Select(order => Overlap(place.P, place.Q, order, order)).ToArray()).ToArray();
        yield return (Invariant($"shared u, worst of {Permutations} orders at each place"), ranges.Average(r => r.Min()));
        yield return (Invariant($"shared u, best of {Permutations} orders at each place"), ranges.Average(r => r.Max()));
        foreach (var (name, rule) in s_rules)
        {
            var pick = PickRule.Parse(rule);
            yield return (name, Mean((p, q) => Counted(pick, p, q, Draws, random)));
        }

        yield return ("(1 - TV)/(1 + TV): bound of the race of all tokens", Mean((p, q) => Common(p, q) / (2 - Common(p, q))));
    }

    /// <summary>Laws p and q behind every token of a model's texts.</summary>
    private static List<(float[] P, float[] Q)> Laws(StudySpace space, ModelChoice model, SamplingOptions law, Other other)
    {
        var transform = new LogitsTransform(law, model.Model.Config.VocabularySize);
        var places = new List<(float[], float[])>();
        foreach (var text in BaseTexts.Written(model, law, space.Cases(Texts), space.Tokens(MostTokens)))
        {
            var logits = Logits(space, model.Model, text.Tokens);
            places.AddRange(logits.Select(Law).Zip(other(text.Tokens, logits).Select(Law)));
        }

        return places;

        float[] Law(float[] row)
        {
            var own = new float[row.Length];
            transform.ToLaw(row, own);
            return own;
        }
    }

    /// <summary>Logits behind every token of a text, [T][V].</summary>
    private static float[][] Logits(StudySpace space, Transformer network, int[] tokens)
    {
        var logits = network.Forward(new Tape(space.Backend), tokens, new CallRows([.. Enumerable.Range(0, tokens.Length)], Visibility.Causal(0, tokens.Length))).Value;
        return [.. Enumerable.Range(0, tokens.Length).Select(row =>
        {
            var own = new float[logits.Columns];
            space.Backend.Download(logits.Slice(row, 1), own);
            return own;
        })];
    }

    /// <summary>stories260K, or null where there is no such folder.</summary>
    private static ModelChoice? Stories(StudySpace space) =>
        Environment.GetEnvironmentVariable("PTP_DATA") is { Length: > 0 } data && Path.Combine(data, "models", "stories260K-hf") is var folder && Directory.Exists(folder)
            ? ModelChoice.Load(folder, Path.Combine(data, "tokenizers", "tok512", "tok512.bin"), space.Backend)
            : null;

    private static double Common(float[] p, float[] q) => p.Zip(q, (a, b) => (double)Math.Min(a, b)).Sum();

    private static int[] Sorted<T>(T[] values)
        where T : IComparable<T> => [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i])];

    private static int[] Permuted(int[] ids, RandomStream random)
    {
        var order = (int[])ids.Clone();
        for (var i = order.Length - 1; i > 0; i--)
        {
            var other = random.NextInt(i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
    }
}
