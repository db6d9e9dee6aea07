// ptp study coupling: how often the same u picks the same token from the base's law p and a small model's law q, by pick rule and order.
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

    private static readonly (string Name, string Rule)[] s_rules = [("tree pick", "tree"), ("race of 46 twice", "race:46"), ("race of all tokens (Gumbel)", "gumbel")];

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var shelf = new DraftShelf(space.Backend, null, isDefault: true);
        string[] names = [DraftShelf.Small, DraftShelf.Smallest];
        (string Name, double Temperature)[] columns = [.. names.SelectMany(name => ((string, double)[])[(name, 0.7), (name, 1)])];
        var rows = new Dictionary<string, List<double>>();
        foreach (var (name, temperature) in columns)
        {
            var small = shelf.Find(name) ?? throw new PtpException(
                "Run a study", $"no folder models/drafts/{name} here, in a folder above, or beside ptp", "the models that come with ptp", "Run it inside the repository.");
            foreach (var (row, value) in Agreement(space, model, small, new SamplingOptions { Temperature = temperature }))
            {
                (rows.TryGetValue(row, out var values) ? values : rows[row] = []).Add(value);
            }

            space.Note(Invariant($"{name}, temperature {temperature}"));
        }

        var table = new StudyTable("The same u, two laws: how often the tokens are equal",
            Invariant($"p: the embedded model; q: a small model; every place of {space.Cases(Texts)} texts of {space.Tokens(MostTokens)} tokens. In brackets the share of 1 - TV."),
            ["coupling", .. columns.Select(c => Invariant($"{c.Name}, T {c.Temperature}"))]);
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

    /// <summary>Rows of the table for a pair of models: means over all places.</summary>
    private static IEnumerable<(string Row, double Mean)> Agreement(StudySpace space, ModelChoice model, Transformer small, SamplingOptions law)
    {
        var places = Laws(space, model, small, law);
        var (vocabulary, random) = (model.Model.Config.VocabularySize, new RandomStream(1, "couplings"));
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

    /// <summary>Laws of both models behind every token of the base's texts.</summary>
    private static List<(float[] P, float[] Q)> Laws(StudySpace space, ModelChoice model, Transformer small, SamplingOptions law)
    {
        var transform = new LogitsTransform(law, model.Model.Config.VocabularySize);
        var places = new List<(float[], float[])>();
        foreach (var text in BaseTexts.Written(model, law, space.Cases(Texts), space.Tokens(MostTokens)))
        {
            places.AddRange(Of(model.Model, text.Tokens).Zip(Of(small, text.Tokens)));
        }

        return places;

        List<float[]> Of(Transformer network, int[] tokens)
        {
            var tape = new Tape(space.Backend);
            var logits = network.Forward(tape, tokens, new CallRows([.. Enumerable.Range(0, tokens.Length)], Visibility.Causal(0, tokens.Length))).Value;
            var laws = new List<float[]>();
            for (var row = 0; row < tokens.Length; row++)
            {
                var own = new float[logits.Columns];
                space.Backend.Download(logits.Slice(row, 1), own);
                transform.ToLaw(own, own);
                laws.Add(own);
            }

            return laws;
        }
    }

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
