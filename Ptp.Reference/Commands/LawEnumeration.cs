// The law of a decoder's texts, enumerated through the decoder itself: every way the dice can fall is run once, with its weight.
//   P(text) = sum over ways that lead to it of the product of their chances;  to be compared with the product of the model's own laws
// u is fixed meanwhile, so a law-exact rule must hold for each u. Refuses: decoders that are not functions of prompt, u and dice.

using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>Dice that fall in every way in turn.</summary>
public sealed class EnumeratedDice : Dice
{
    private readonly List<(int Way, double[] Chances)> _ways = [];
    private int _at;

    /// <summary>Chance of the way taken.</summary>
    public double Weight => _ways.Aggregate(1.0, (product, way) => product * way.Chances[way.Way]);

    /// <summary>Runs something once per way; a run must ask the same questions as long as it gets the same answers.</summary>
    public static IEnumerable<(T Result, double Weight)> All<T>(Func<Dice, T> run)
    {
        var dice = new EnumeratedDice();
        do
        {
            dice._at = 0;
            var result = run(dice);
            yield return (result, dice.Weight);
        }
        while (dice.Next());
    }

    /// <inheritdoc/>
    public override bool Coin(double chance)
    {
        chance = Math.Clamp(chance, 0, 1);
        return Take([chance, 1 - chance]) == 0;
    }

    /// <inheritdoc/>
    public override int Draw(ReadOnlySpan<double> law)
    {
        var total = 0.0;
        foreach (var weight in law)
        {
            total += weight;
        }

        var chances = new double[law.Length];
        for (var token = 0; token < law.Length; token++)
        {
            chances[token] = law[token] / total;
        }

        return Take(chances);
    }

    private int Take(double[] chances)
    {
        if (_at == _ways.Count)
        {
            _ways.Add((Array.FindIndex(chances, p => p > 0), chances));
        }

        return _ways[_at++].Way;
    }

    private bool Next()
    {
        while (_ways.Count > 0)
        {
            var (way, chances) = _ways[^1];
            var next = Array.FindIndex(chances, way + 1, p => p > 0);
            if (next >= 0)
            {
                _ways[^1] = (next, chances);
                return true;
            }

            _ways.RemoveAt(_ways.Count - 1);
        }

        return false;
    }
}

/// <summary>A random model of three tokens whose 27 texts of three are enumerated.</summary>
public sealed class LawEnumeration
{
    /// <summary>Tokens of the vocabulary.</summary>
    public const int V = 3;

    /// <summary>Tokens of a text.</summary>
    public const int Length = 3;

    private static readonly int[] s_prompt = [1, 2, 1];
    private readonly double[] _expected;

    /// <summary>The model of a seed, and the law of its texts.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="seed">Any word.</param>
    public LawEnumeration(IBackend backend, ulong seed)
    {
        var random = new RandomStream(seed, "law enumeration");
        Model = Random(backend, random);
        Small = Random(backend, random);
        (Law, U) = (new SamplingOptions { Temperature = 0.7 + random.NextDouble() }, Auxiliaries.FromSeed(seed));
        var session = new ModelSession(Model, Law, InverseCdf.Instance);
        _expected = new double[(int)Math.Pow(V, Length)];
        Fill(session, [], 1);
    }

    /// <summary>The verifier.</summary>
    public Transformer Model { get; }

    /// <summary>Another model of the same vocabulary, to draft with.</summary>
    public Transformer Small { get; }

    /// <summary>The sampling law.</summary>
    public SamplingOptions Law { get; }

    /// <summary>u, the same in every way.</summary>
    public Auxiliaries U { get; }

    /// <summary>Runs of the last <see cref="Error"/>.</summary>
    public int Ways { get; private set; }

    /// <summary>The largest difference, over all texts, of what a decoder gives and what it should.</summary>
    /// <param name="drafter">Makes the drafter, anew for each run, so that runs do not learn from each other.</param>
    /// <param name="rule">Makes the rule.</param>
    /// <param name="nodes">Rows of a verifying call.</param>
    public double Error(Func<ITreeDrafter> drafter, Func<VerificationRule> rule, int nodes = 8)
    {
        var law = new double[_expected.Length];
        Ways = 0;
        var ways = EnumeratedDice.All(dice =>
            new TreeDecoding(Model, drafter(), Law, InverseCdf.Instance, nodes, rule()).Decode(s_prompt, U, dice, new DecodeLimits(Length, [])));
        foreach (var (decoded, weight) in ways)
        {
            law[Index(decoded.Tokens)] += weight;
            Ways++;
        }

        return law.Zip(_expected, (a, b) => Math.Abs(a - b)).Max();
    }

    private static int Index(IEnumerable<int> text) => text.Aggregate(0, (index, token) => index * V + token);

    private static Transformer Random(IBackend backend, RandomStream random) => ExactnessCase.RandomModel(
        backend,
        (ExactnessCase.RandomConfig(random) with { VocabularySize = V, HiddenSize = 8, IntermediateSize = 8, Layers = 1, MaxContext = 24 })
        .Validated(),
        random);

    private void Fill(ModelSession session, int[] text, double chance)
    {
        if (text.Length == Length)
        {
            _expected[Index(text)] = chance;
            return;
        }

        session.Start([.. s_prompt, .. text]);
        session.Verify([session.Tokens[^1]]);
        var law = session.Law(0).ToArray();
        var total = law.Sum(p => (double)p); // a law of floats sums to one nearly; what is drawn from is the law in double
        for (var token = 0; token < V; token++)
        {
            Fill(session, [.. text, token], chance * law[token] / total);
        }
    }
}
