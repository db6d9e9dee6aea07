// Draft trees that follow a script instead of a model: random shapes, some paths right as far as plain decoding knows, the others wrong.
// Source: the answer of an ExactnessCase. They work the verifier harder than a learned drafter: deep wrong branches beside right ones.
// Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>Random trees around the right answer.</summary>
internal sealed class ScriptedTreeDrafter(ExactnessCase owner, RandomStream random) : ITreeDrafter
{
    /// <inheritdoc/>
    public int Slots => owner.Slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        session.Verify([session.Tokens[^1]]);
        var (tokens, parents, depths) = (new List<int> { session.Pick(0, u, g) }, new List<int> { -1 }, new List<int> { 0 });
        var count = 1 + random.NextInt(nodes);
        for (var attempt = 0; tokens.Count < count && attempt < 4 * nodes; attempt++)
        {
            // Often below the newest node, so that paths grow long.
            var parent = random.NextInt(2) == 0 ? tokens.Count - 1 : random.NextInt(tokens.Count);
            var place = g + depths[parent] + 1;
            if (depths[parent] + 1 >= depth || place >= owner.Expected.Tokens.Length)
            {
                continue;
            }

            var answer = owner.Expected.Tokens[(int)place];
            var token = random.NextInt(3) > 0 ? answer : random.NextInt(owner.Model.Config.VocabularySize);
            tokens.Add(token);
            parents.Add(parent);
            depths.Add(depths[parent] + 1);
        }

        return new DraftTree([.. tokens], [.. parents], [.. depths]);
    }
}
