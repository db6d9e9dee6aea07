// Drafters that know the right answer and use it against the verifier, and one that watches the verifier's cache.
// Source: losslessness must hold for any student, so these are as bad (or as good) as a student can be.
// Refuses: nothing. Not here: drafters that compute anything; those are in Ptp.Core.Paper.

using System.Numerics.Tensors;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>What a drafter of a generated case does.</summary>
public enum DrafterKind
{
    /// <summary>Gated LoRA with random weights, from mild to overflowing.</summary>
    Gated,

    /// <summary>The same with categorical slots, with or without a random sampler head.</summary>
    Categorical,

    /// <summary>A random network of its own.</summary>
    Student,

    /// <summary>Tokens without any sense.</summary>
    Random,

    /// <summary>Never right.</summary>
    Wrong,

    /// <summary>Always right.</summary>
    Perfect,

    /// <summary>Right up to a random place, then wrong; of random length, sometimes empty.</summary>
    Flaky,

    /// <summary>Right but for an end token at a random place.</summary>
    EarlyEnd,

    /// <summary>Flaky, and it also runs the last token through the verifier, as a gated drafter does.</summary>
    FlakyWithFirstLaw,

    /// <summary>Always right, and it also runs the last token through the verifier.</summary>
    PerfectWithFirstLaw,

    /// <summary>Gated, through a twin of the verifier whose weights are rounded to bytes.</summary>
    GatedTwin,

    /// <summary>The same with categorical slots.</summary>
    CategoricalTwin,
}

/// <summary>Drafts by script.</summary>
/// <param name="owner">The case whose answer it knows.</param>
/// <param name="kind">The script.</param>
/// <param name="random">Its choices.</param>
public sealed class ScriptedDrafter(ExactnessCase owner, DrafterKind kind, RandomStream random) : IDrafter
{
    /// <inheritdoc/>
    public int Slots => owner.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        // The answer is the only state.
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        var flaky = kind is DrafterKind.Flaky or DrafterKind.FlakyWithFirstLaw;
        var firstLaw = kind is DrafterKind.FlakyWithFirstLaw or DrafterKind.PerfectWithFirstLaw;
        var turn = random.NextInt(count + 1);
        var length = flaky ? Math.Max(firstLaw ? 1 : 0, turn + random.NextInt(count - turn + 1)) : count;
        var tokens = new int[length];
        for (var slot = 0; slot < length; slot++)
        {
            tokens[slot] = kind switch
            {
                DrafterKind.Random => random.NextInt(owner.Model.Config.VocabularySize),
                DrafterKind.Wrong => Other(g + slot),
                DrafterKind.EarlyEnd when slot == turn => End(g + slot),
                _ when flaky && slot >= turn => Other(g + slot),
                _ => Right(g + slot),
            };
        }

        if (firstLaw)
        {
            session.Verify([session.Tokens[^1]]);
        }

        return new Draft(tokens, new float[length], firstLaw);
    }

    // Beyond the answer's end anything goes.
    private int Right(long g) => g < owner.Expected.Tokens.Length ? owner.Expected.Tokens[g] : 0;

    private int Other(long g) => (Right(g) + 1) % owner.Model.Config.VocabularySize;

    private int End(long g) => owner.Limits.EndTokens.Count > 0 ? owner.Limits.EndTokens[0] : Other(g);
}

/// <summary>Notes when the cache is not what it must be between rounds.</summary>
internal interface IWatched
{
    /// <summary>Null while the cache holds all committed tokens but the last; to be asked between rounds.</summary>
    string? Fault { get; }

    /// <summary>What is wrong with a session between rounds, or null.</summary>
    static string? FaultOf(ModelSession? session) => session is null || session.Cache.Length == session.Tokens.Count - 1
        ? null
        : $"the cache holds {session.Cache.Length} entries behind {session.Tokens.Count} tokens";
}

/// <summary>Passes drafts on.</summary>
/// <param name="inner">The drafter that drafts.</param>
public sealed class WatchedDrafter(IDrafter inner) : IDrafter, IWatched
{
    private ModelSession? _session;

    /// <inheritdoc/>
    public int Slots => inner.Slots;

    /// <inheritdoc/>
    public string? Fault => IWatched.FaultOf(_session);

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        _session = null;
        inner.Start(prompt);
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        _session = session;
        return Fault is { } fault ? throw new ArgumentException(fault) : inner.Propose(session, u, g, count);
    }
}

/// <summary>Passes trees on, and refuses those that exceed what was asked for.</summary>
/// <param name="inner">The drafter that drafts.</param>
internal sealed class WatchedTree(ITreeDrafter inner) : ITreeDrafter, IWatched
{
    private ModelSession? _session;

    /// <inheritdoc/>
    public int Slots => inner.Slots;

    /// <inheritdoc/>
    public string? Fault => IWatched.FaultOf(_session);

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        _session = null;
        inner.Start(prompt);
    }

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        _session = session;
        if (Fault is { } fault)
        {
            throw new ArgumentException(fault);
        }

        var tree = inner.Propose(session, u, g, nodes, depth);
        var longest = TensorPrimitives.Max(tree.Depths) + (tree.RootIsCommitted ? 0 : 1);
        return tree.Count <= nodes && longest <= depth
            ? tree
            : throw new ArgumentException($"a tree of {tree.Count} nodes and paths of {longest}, where {nodes} and {depth} fit");
    }

    /// <inheritdoc/>
    public void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path) => inner.Observe(session, tree, path);
}
