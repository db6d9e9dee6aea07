// The heads by name: one line per architecture.
// A name is what the command line, a head's folder and the comparison know it by.
// Refuses: names it does not know.

using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Makes heads.</summary>
public static class DraftHeads
{
    private static readonly (string Name, HeadOptions Defaults, Func<Transformer, HeadOptions, DraftHead> Make)[] s_all =
    [
        (Gloeckle.Architecture, new() { Slots = 3 }, (network, options) => new Gloeckle(network, options)),
        (Stern.Architecture, new() { Width = 64 }, (network, options) => new Stern(network, options)),
        (Medusa.Architecture, new(), (network, options) => new Medusa(network, options)),
        (Hydra.Architecture, new(), (network, options) => new Hydra(network, options)),
        (SequentialMtp.Architecture, new() { Slots = 2 }, (network, options) => new SequentialMtp(network, options)),
        (RecursiveMtp.Architecture, new() { Slots = 6 }, (network, options) => new RecursiveMtp(network, options)),
        (Eagle1.Architecture, new() { Slots = 6 }, (network, options) => new Eagle1(network, options)),
        (Eagle3.Architecture, new() { Slots = 6 }, (network, options) => new Eagle3(network, options)),
        (ProphetNet.Architecture, new() { Slots = 4 }, (network, options) => new ProphetNet(network, options)),
        (Samragh.Architecture, new() { Slots = 8 }, (network, options) => new Samragh(network, options)),
        (DSpark.Architecture, new() { Slots = 8, Width = 64 }, (network, options) => new DSpark(network, options)),
    ];

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_all.Select(h => h.Name)];

    /// <summary>The sizes that a name has by default.</summary>
    public static HeadOptions Defaults(string name) => Find(name).Defaults;

    /// <summary>True if it is trained so quickly that it need not come with a model.</summary>
    public static bool IsQuick(string name) => name is Medusa.Architecture or Stern.Architecture or Gloeckle.Architecture;

    /// <summary>A fresh head.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="network">The base.</param>
    /// <param name="options">Sizes.</param>
    public static DraftHead Make(string name, Transformer network, HeadOptions options) => Find(name).Make(network, options);

    private static (string Name, HeadOptions Defaults, Func<Transformer, HeadOptions, DraftHead> Make) Find(string name)
    {
        var found = Array.FindIndex(s_all, h => h.Name == name);
        Guard.Require(found >= 0, "Choose a head", $"'{name}'", "one of " + string.Join(", ", Names), "Name a head of this list.");
        return s_all[found];
    }
}
