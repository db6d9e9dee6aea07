// The family's drafters on generated cases: each with settings, corpora and small models that follow from the case's seed.
// Corpora hold pieces of the right answer among noise, so that what is copied is sometimes right, and wrong in odd places.
// Refuses: nothing. A new drafter of the family joins by a line here; contract, soak and enumeration then test it.

using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Heads;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>A drafter of the family.</summary>
public enum FamilyKind
{
    /// <summary>Copies what followed earlier in the text.</summary>
    PromptLookup,

    /// <summary>Parallel fixed-point iteration.</summary>
    Jacobi,

    /// <summary>Jacobi window and n-gram pool.</summary>
    Lookahead,

    /// <summary>A tree out of the table of likeliest successors.</summary>
    Recycling,

    /// <summary>A tree out of a suffix array.</summary>
    Retrieval,

    /// <summary>Suffix automata of text and corpus.</summary>
    Automaton,

    /// <summary>Suffix automata, else the table of successors.</summary>
    AutomatonOverRecycling,

    /// <summary>Suffix automata, else a PTP tree: its root is a call of its own.</summary>
    AutomatonOverPtp,

    /// <summary>A small model that picks by the same u.</summary>
    ModelByU,

    /// <summary>A small model that draws a chain.</summary>
    ModelByDice,

    /// <summary>A small model that draws siblings without replacement.</summary>
    ModelTree,

    /// <summary>One-hot slots as a tree of one path.</summary>
    Chain,
}

/// <summary>Makes drafters of the family.</summary>
public static class FamilyCase
{
    /// <summary>A drafter for a case.</summary>
    /// <param name="drawn">The case.</param>
    /// <param name="kind">Which.</param>
    /// <param name="law">The law that small models draw from; null = the case's.</param>
    public static ITreeDrafter Drafter(ExactnessCase drawn, FamilyKind kind, SamplingOptions? law = null)
    {
        var random = new RandomStream(drawn.Seed, "family " + kind);
        var vocabulary = drawn.Model.Config.VocabularySize;
        return kind switch
        {
            FamilyKind.PromptLookup => new PromptLookup(1 + random.NextInt(4), 1 + random.NextInt(12)),
            FamilyKind.Jacobi => new JacobiDrafter(1 + random.NextInt(10), random.NextInt(2) == 0),
            FamilyKind.Lookahead => new LookaheadDrafter(1 + random.NextInt(6), 2 + random.NextInt(4), 1 + random.NextInt(4)),
            FamilyKind.Recycling => new TokenRecycling(vocabulary, 1 + random.NextInt(80)),
            FamilyKind.Retrieval => new RetrievalDrafter(new SuffixArray(Corpus(drawn, random)), 1 + random.NextInt(6), 1, 1 + random.NextInt(8)),
            FamilyKind.Automaton => new AutomatonDrafter(Automaton(drawn, random), null, Options(random)),
            FamilyKind.AutomatonOverRecycling =>
                new AutomatonDrafter(Automaton(drawn, random), new TokenRecycling(vocabulary, 20), Options(random)),
            FamilyKind.AutomatonOverPtp => new AutomatonDrafter(
                null, new CategoricalTreeDrafter(drawn.Slotted(DrafterKind.Categorical)), Options(random)),
            FamilyKind.ModelByU => Small(drawn, random, law, [.. Enumerable.Repeat(1, 1 + random.NextInt(6))], draws: false),
            FamilyKind.ModelByDice => Small(drawn, random, law, [.. Enumerable.Repeat(1, 1 + random.NextInt(6))], draws: true),
            FamilyKind.ModelTree => Small(drawn, random, law, [.. Enumerable.Range(0, 1 + random.NextInt(4)).Select(_ => 1 + random.NextInt(3))], draws: true),
            _ => new ChainTree(drawn.Drafter(DrafterKind.Gated)),
        };
    }

    /// <summary>The path-exact system that a soak gives to the case, by its seed: every drafter, and every head in three shapes.</summary>
    public static (string Name, IDecoder Decoder) Any(ExactnessCase drawn)
    {
        var kinds = Enum.GetValues<FamilyKind>();
        var (turn, heads) = ((int)(drawn.Seed % (ulong)(kinds.Length + 3 * DraftHeads.Names.Count)), DraftHeads.Names);
        if (turn < kinds.Length)
        {
            return ($"{kinds[turn]}", drawn.Speculative(Drafter(drawn, kinds[turn])));
        }

        var (head, shape) = Math.DivRem(turn - kinds.Length, 3);
        return (heads[head], HeadCase.Decoder(drawn, heads[head], shape));
    }

    private static AutomatonOptions Options(RandomStream random) =>
        new() { Slots = 1 + random.NextInt(40), Threshold = 1 + random.NextInt(4), Bias = random.NextInt(3) };

    private static SuffixAutomaton Automaton(ExactnessCase drawn, RandomStream random)
    {
        var automaton = new SuffixAutomaton();
        foreach (var token in Corpus(drawn, random).SelectMany(document => (int[])[.. document, SuffixArray.Boundary]))
        {
            automaton.Append(token);
        }

        return automaton;
    }

    /// <summary>The answer with every fourth token or so replaced, a few times over.</summary>
    private static int[][] Corpus(ExactnessCase drawn, RandomStream random)
    {
        int[] answer = [.. drawn.Prompt, .. drawn.Expected.Tokens];
        return [.. Enumerable.Range(0, 6).Select(_ => answer.Select(
            token => random.NextInt(4) == 0 ? random.NextInt(drawn.Model.Config.VocabularySize) : token).ToArray())];
    }

    /// <summary>A random small model, or now and then the verifier itself, which is always right; its context may be shorter.</summary>
    private static ModelDrafter Small(ExactnessCase drawn, RandomStream random, SamplingOptions? law, int[] widths, bool draws)
    {
        var vocabulary = drawn.Model.Config.VocabularySize;
        var small = random.NextInt(4) == 0
            ? drawn.Model
            : ExactnessCase.RandomModel(drawn.Model.Backend, ExactnessCase.RandomConfig(random) with { VocabularySize = vocabulary }, random);
        return new ModelDrafter(small, vocabulary, law ?? drawn.Law, drawn.Rule, widths, draws);
    }
}
