// Many generated cases of "each text has its own probability": a random language of three tokens, a law-exact system, all ways of the dice.
//   the largest difference over 27 texts must be rounding; case i is a function of seed + i, which draws language, drafter, head and shape
// Drafters: small models that draw chains and siblings, training-free ones, heads that begin at the last token. Others begin with a token
// that u picks, so their law is u's. Refuses: a negative count.

using System.Collections.Concurrent;
using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Heads;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>The law of law-exact decoding, by generated languages.</summary>
public static class LawSoak
{
    private const double Rounding = 1e-12;
    private const int MostFailures = 20;

    private static readonly string[] s_heads = [.. DraftHeads.Names.Except([ProphetNet.Architecture, Samragh.Architecture, DSpark.Architecture])];

    private static readonly Func<LawEnumeration, RandomStream, Func<ITreeDrafter>>[] s_drafters =
    [
        (of, _) => Small(of, [1, 1], draws: true),
        (of, random) => Small(of, [2 + random.NextInt(2), 1], draws: true),
        (of, _) => Small(of, [1, 1], draws: false),
        (_, random) => Fresh(1 + random.NextInt(2), longest => new PromptLookup(longest)),
        (_, random) => Fresh(1 + random.NextInt(3), slots => new JacobiDrafter(slots, slots > 1)),
        (_, random) => Fresh(2 + random.NextInt(8), nodes => new TokenRecycling(LawEnumeration.V, nodes)),
        (_, random) => Fresh(1 + random.NextInt(3), window => new LookaheadDrafter(window, 2, 2)),
        (of, random) => Fresh(1 + random.NextInt(3), threshold => new AutomatonDrafter(
            null, Small(of, [1, 1], draws: true)(), new AutomatonOptions { Threshold = threshold })),
        .. s_heads.Select(name => (Func<LawEnumeration, RandomStream, Func<ITreeDrafter>>)((of, random) => OfHead(name, of, random))),
    ];

    /// <summary>Runs cases on all cores.</summary>
    /// <param name="seed">Seed of the first case; case i has seed + i.</param>
    /// <param name="cases">How many.</param>
    /// <param name="progress">Told how many are done, from any thread.</param>
    /// <param name="rule">The rule under test; null = the ratio rule.</param>
    /// <param name="device">Where to compute, one case after the other; of the CPU its threads, a case each; null = a case per core.</param>
    /// <param name="cancellation">Stops between cases; the report counts what was done, and the ways of the dice as tokens.</param>
    public static SoakReport Run(
        ulong seed, int cases, Action<int>? progress = null, Func<VerificationRule>? rule = null, IBackend? device = null,
        CancellationToken cancellation = default)
    {
        Guard.Require(cases >= 0, "Soak the laws", $"{cases} cases", "0 or more", "Give a positive count.");
        using var alone = new CpuBackend(1);
        var side = device is null ? -1 : (device as CpuBackend)?.Threads ?? 1; // cases side by side
        var where = device is null or CpuBackend ? alone : device;
        var failures = new ConcurrentBag<string>();
        var (done, ways) = (0, 0L);
        Parallel.For(0, cases, new ParallelOptions { MaxDegreeOfParallelism = side }, (i, state) =>
        {
            if (cancellation.IsCancellationRequested || failures.Count >= MostFailures)
            {
                state.Stop();
                return;
            }

            var own = seed + (ulong)i;
            var language = new LawEnumeration(where, own);
            var kind = (int)(own % (ulong)s_drafters.Length);
            var error = language.Error(s_drafters[kind](language, new RandomStream(own, "law soak")), rule ?? (() => RatioRule.Instance));
            if (!(error <= Rounding))
            {
                failures.Add(FormattableString.Invariant($"seed {own}, drafter {kind}: a text's probability is off by {error:0.0e0}"));
            }

            Interlocked.Add(ref ways, language.Ways);
            var count = Interlocked.Increment(ref done); // counted whether or not anybody watches
            progress?.Invoke(count);
        });
        return new SoakReport(done, ways, [.. failures.Order(StringComparer.Ordinal)]);
    }

    private static Func<ITreeDrafter> Small(LawEnumeration of, int[] widths, bool draws) =>
        () => new ModelDrafter(of.Small, LawEnumeration.V, of.Law, InverseCdf.Instance, widths, draws);

    /// <summary>A drafter anew for each way, so that ways do not learn from each other.</summary>
    private static Func<ITreeDrafter> Fresh(int size, Func<int, ITreeDrafter> make) => () => make(size);

    private static Func<ITreeDrafter> OfHead(string name, LawEnumeration of, RandomStream random)
    {
        var head = HeadCase.Head(name, of.Model, random, deviation: 0.5);
        var shape = TreeShape.Best([[random.NextDouble(), random.NextDouble()], [random.NextDouble()]], 3);
        return random.NextInt(3) switch
        {
            0 => () => new ChainTree(new HeadChainDrafter(head, InverseCdf.Instance, HeadProposals.Drawn)),
            1 => () => new HeadTreeDrafter(head, InverseCdf.Instance, shape, proposals: HeadProposals.Drawn),
            _ => () => new HeadTreeDrafter(head, InverseCdf.Instance, beam: 2, proposals: HeadProposals.Ranked),
        };
    }
}
