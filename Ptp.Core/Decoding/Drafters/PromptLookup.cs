// Prompt lookup (Saxena 2023): the last n tokens stood earlier in this very text; what followed them then is the draft.
// n = 3, then 2, then 1; the first earlier place; ten tokens, or as many as there are (the original wants ten or none).
// Refuses: nothing; where nothing matches there is no draft, and the round is a plain call.

using System.Runtime.InteropServices;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Copies from the prompt and the text so far.</summary>
/// <param name="longest">Most tokens to match.</param>
/// <param name="slots">Most tokens to copy.</param>
public sealed class PromptLookup(int longest = 3, int slots = 10) : ITreeDrafter
{
    /// <inheritdoc/>
    public int Slots => slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        ReadOnlySpan<int> text = CollectionsMarshal.AsSpan(session.Tokens);
        var count = Math.Min(slots, Math.Min(nodes - 1, depth));
        for (var n = Math.Min(longest, text.Length - 1); n > 0 && count > 0; n--)
        {
            // The suffix itself matches at the very end; one token less of the text leaves it out.
            var at = text[..^1].IndexOf(text[^n..]);
            if (at >= 0)
            {
                var next = text[(at + n)..];
                return ChainTree.Of(text[^1], next[..Math.Min(count, next.Length)]);
            }
        }

        return DraftTree.Plain(text[^1]);
    }
}
