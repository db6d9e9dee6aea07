// A random head on the model of a generated case: any architecture, any weights, chains and trees of every kind.
// Source: ExactnessCase; weights run from mild to absurd, as nothing a head computes may reach the text.
// Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>Random heads.</summary>
public static class HeadCase
{
    /// <summary>A head with random weights on a model.</summary>
    /// <param name="name">One of <see cref="DraftHeads.Names"/>.</param>
    /// <param name="network">The base.</param>
    /// <param name="random">Sizes and weights.</param>
    /// <param name="deviation">Of the weights; 0 = from mild to absurd.</param>
    /// <param name="target">What its laws are compared with.</param>
    public static DraftHead Head(string name, Transformer network, RandomStream random, double deviation = 0, HeadTarget target = HeadTarget.Law)
    {
        var head = DraftHeads.Make(name, network, new HeadOptions
        {
            Slots = 2 + random.NextInt(5),
            Width = 1 + random.NextInt(20),
            Rank = 1 + random.NextInt(4),
            Temperature = 0.5 + random.NextDouble(),
            Target = target,
            Seed = random.NextBits(),
        });
        deviation = deviation > 0 ? deviation : Math.Pow(10, random.NextInt(5) switch { 0 => -2, 1 => -1, 2 => 0, 3 => 2, _ => 25 });
        foreach (var parameter in head.Parameters)
        {
            Initialise.Gaussian(parameter, random, deviation);
        }

        return head;
    }

    /// <summary>A decoder that drafts with a random head: chains, grown trees or trees of a random static shape.</summary>
    /// <param name="drawn">The case.</param>
    /// <param name="name">One of <see cref="DraftHeads.Names"/>.</param>
    /// <param name="kind">0 = chains, 1 = grown trees, 2 = static trees.</param>
    public static IDecoder Decoder(ExactnessCase drawn, string name, int kind)
    {
        var random = new RandomStream(drawn.Seed, "head " + name);
        var head = Head(name, drawn.Model, random);
        var proposals = (HeadProposals)random.NextInt(2);
        if (kind == 0)
        {
            return drawn.ErrorCorrected(new HeadChainDrafter(head, drawn.Rule, (HeadProposals)random.NextInt(3)));
        }

        var nodes = 1 + random.NextInt(24);
        if (kind == 1)
        {
            return new TreeDecoding(drawn.Model, new HeadTreeDrafter(head, drawn.Rule, null, 1 + random.NextInt(5), proposals), drawn.Law, drawn.Rule, nodes);
        }

        double[][] chances = [.. Enumerable.Range(0, head.Slots).Select(_ => Enumerable.Range(0, 4).Select(_ => random.NextDouble()).ToArray())];
        var shape = TreeShape.Best(chances, nodes);
        return new TreeDecoding(
            drawn.Model, new HeadTreeDrafter(head, drawn.Rule, shape, proposals: (HeadProposals)random.NextInt(3)), drawn.Law, drawn.Rule, nodes);
    }
}
