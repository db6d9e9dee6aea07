// Error-corrected decoding written a second time, with a switch for the mistakes that it must not make.
// Source: PTP Algorithm 1. Without a flaw it meets the decoder contract, so a failure is the flaw's doing.
// Not here: known first laws, statistics of slots.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;

namespace Ptp.Tests.Exactness;

public enum Flaw
{
    None,

    /// <summary>The verifier picks with the next token's u.</summary>
    ShiftedU,

    /// <summary>The first draft token is committed without a look.</summary>
    Unverified,

    /// <summary>Rows of refuted tokens stay in the cache.</summary>
    Uncropped,

    /// <summary>Each round draws u anew.</summary>
    FreshU,

    /// <summary>What lies behind an end token is committed too.</summary>
    PastTheEnd,
}

internal sealed class FlawedDecoder(ExactnessCase owner, Flaw flaw) : IDecoder
{
    public string Name => "flawed: " + flaw;

    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        var session = new ModelSession(owner.Model, owner.Law, owner.Rule);
        var drafter = owner.Drafter(DrafterKind.Flaky);
        session.Start(prompt);
        var output = new List<int>();
        for (var round = 0; output.Count < limits.MaxNewTokens; round++)
        {
            if (session.Room <= 0)
            {
                return new Decoded([.. output], StopReason.ContextFull, session.Stats);
            }

            var g = output.Count;
            var count = Math.Min(owner.Slots, Math.Min(limits.MaxNewTokens - g, session.Room) - 1);
            var draft = count > 0 ? drafter.Propose(session, u, g, count).Tokens : [];
            session.Verify([session.Tokens[^1], .. draft]);
            var source = flaw == Flaw.FreshU ? Auxiliaries.FromSeed((ulong)round) : u;
            var tokens = new List<int>();
            for (var r = 0; r <= draft.Length; r++)
            {
                tokens.Add(session.Pick(r, source, g + r + (flaw == Flaw.ShiftedU ? 1 : 0)));
                if (flaw == Flaw.Unverified && r == 0 && draft.Length > 0)
                {
                    tokens[0] = draft[0];
                }

                if (r < draft.Length && tokens[r] != draft[r])
                {
                    break;
                }
            }

            var end = tokens.FindIndex(limits.EndTokens.Contains);
            var correct = tokens.Count - 1;
            if (end >= 0 && flaw != Flaw.PastTheEnd)
            {
                tokens.RemoveRange(end + 1, tokens.Count - end - 1);
            }

            output.AddRange(tokens);
            session.Tokens.AddRange(tokens);
            if (flaw != Flaw.Uncropped)
            {
                session.Cache.Crop(session.Tokens.Count - 1);
            }

            session.Stats.AddRound(draft.Length, correct, tokens.Count);
            committed?.Invoke(new Commitment(tokens.ToArray(), Math.Min(correct, tokens.Count)));
            if (end >= 0)
            {
                return new Decoded([.. output], StopReason.EndToken, session.Stats);
            }
        }

        return new Decoded([.. output], StopReason.MaxTokens, session.Stats);
    }
}
