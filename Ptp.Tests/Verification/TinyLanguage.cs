// A random model of four tokens whose texts of a few tokens are enumerated: the exact law of every text, from its own session.
// Source: P(t) = product of next-token laws. With the laws at hand a drafter can be perfect.
// Not here: large vocabularies, end tokens.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;

namespace Ptp.Tests.Verification;

internal sealed class TinyLanguage
{
    public const int V = 4;
    public const int Length = 3;
    private readonly Dictionary<string, float[]> _laws = [];

    public TinyLanguage(IBackend backend, ulong seed)
    {
        var random = new RandomStream(seed, "tiny language");
        var config = ExactnessCase.RandomConfig(random) with { VocabularySize = V, HiddenSize = 8, IntermediateSize = 8, Layers = 1 };
        Model = ExactnessCase.RandomModel(backend, config.Validated(), random);
        var session = new ModelSession(Model, Law, InverseCdf.Instance);
        Fill(session, []);
        Texts = [.. Enumerable.Range(0, (int)Math.Pow(V, Length)).Select(index => Probability(Text(index)))];
    }

    public static SamplingOptions Law { get; } = new();

    public static int[] Prompt { get; } = [1];

    public static DecodeLimits Limits { get; } = new(Length, []);

    public Transformer Model { get; }

    /// <summary>Probability of each text, by <see cref="Index"/>.</summary>
    public double[] Texts { get; }

    public static int Index(IEnumerable<int> text) => text.Aggregate(0, (index, token) => index * V + token);

    public float[] NextLaw(IEnumerable<int> text) => _laws[string.Join(' ', text)];

    /// <summary>How often a decoder gives each text, over this many u.</summary>
    public static int[] Counts(IDecoder decoder, int texts)
    {
        var counts = new int[(int)Math.Pow(V, Length)];
        for (var i = 0; i < texts; i++)
        {
            counts[Index(decoder.Decode(Prompt, Auxiliaries.FromSeed((ulong)i), Limits).Tokens)]++;
        }

        return counts;
    }

    private static int[] Text(int index) => [index / (V * V), index / V % V, index % V];

    private double Probability(int[] text) =>
        Enumerable.Range(0, Length).Aggregate(1.0, (product, place) => product * NextLaw(text[..place])[text[place]]);

    private void Fill(ModelSession session, int[] text)
    {
        session.Start([.. Prompt, .. text]);
        session.Verify([session.Tokens[^1]]);
        _laws[string.Join(' ', text)] = session.Law(0).ToArray();
        for (var token = 0; token < V && text.Length + 1 < Length; token++)
        {
            Fill(session, [.. text, token]);
        }
    }

    /// <summary>How a drafter of the language drafts.</summary>
    public enum Habit
    {
        /// <summary>What plain decoding will pick.</summary>
        Perfect,

        /// <summary>The likeliest token each time, whatever u.</summary>
        Likeliest,

        /// <summary>One token: the likeliest or the rarest, as u of the token after it decides.</summary>
        LooksAhead,
    }

    /// <summary>Drafts by a habit.</summary>
    public sealed class Drafter(TinyLanguage owner, Habit habit = Habit.Perfect) : IDrafter
    {
        public int Slots => habit == Habit.LooksAhead ? 1 : Length;

        public void Start(IReadOnlyList<int> prompt)
        {
            // The enumerated laws are the only state.
        }

        public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
        {
            int[] text = [.. session.Tokens.Skip(Prompt.Length)];
            List<int> tokens = [];
            for (var l = 0; l < count; l++)
            {
                var law = owner.NextLaw([.. text, .. tokens]);
                tokens.Add(habit switch
                {
                    Habit.Perfect => Pick.Token(u.At(g + l, 0), law),
                    Habit.LooksAhead when u.At(g + 1, 0) >= 0.5f => Array.IndexOf(law, law.Min()),
                    _ => Array.IndexOf(law, law.Max()),
                });
            }

            return new Draft(tokens.ToArray(), tokens.Select(_ => 0.8f).ToArray(), knowsFirstLaw: false);
        }
    }
}
