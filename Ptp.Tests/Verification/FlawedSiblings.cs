// Recursive sibling rejection written a second time, from the laws of the first sibling on, with switches for its classic mistakes.
// Source: Leviathan et al. 2023 for one child, EAGLE's acceptance for several. Without a flaw it is the ratio rule.
// It claims the promise, so that it is walked as the ratio is. Not here: what the flaws lead to (LawExactTests).

using Ptp.Core.Decoding.Verification;

namespace Ptp.Tests.Verification;

public enum SiblingFlaw
{
    None,

    /// <summary>A refused sibling keeps its place in q.</summary>
    SiblingKept,

    /// <summary>q without the sibling is not made to sum to one.</summary>
    ProposalNotRenormalised,

    /// <summary>What is left of p is not made to sum to one; the last token takes what is missing.</summary>
    RestNotRenormalised,

    /// <summary>The token that replaces all children is drawn from p itself.</summary>
    RestIsTheLaw,

    /// <summary>The refused draw decides its replacement: no fresh randomness.</summary>
    DrawReused,
}

internal sealed class FlawedSiblings(SiblingFlaw flaw) : LawExactRule
{
    private double[] _p = [];
    private double[] _q = [];

    public override string Name => "flawed: " + flaw;

    public override bool ReadsRest => true;

    public override bool Accepts(in Trial trial)
    {
        if (IsFirst(trial))
        {
            (_p, _q) = (trial.Rest.ToArray(), trial.Proposal.ToArray());
        }

        var x = trial.Token;
        if (trial.Dice.Coin(_p[x] / _q[x]))
        {
            return true;
        }

        for (var token = 0; token < _p.Length; token++)
        {
            _p[token] = Math.Max(0, _p[token] - _q[token]);
        }

        if (flaw == SiblingFlaw.RestNotRenormalised)
        {
            _p[^1] = 1 - _p.SkipLast(1).Sum();
        }

        Scale(_p);
        _q[x] = flaw == SiblingFlaw.SiblingKept ? _q[x] : 0;
        if (flaw != SiblingFlaw.ProposalNotRenormalised)
        {
            Scale(_q);
        }

        return false;
    }

    public override int Replacement(in Trial trial) => flaw switch
    {
        _ when trial.Token < 0 => trial.Dice.Draw(trial.Rest),
        SiblingFlaw.RestIsTheLaw => trial.Dice.Draw([.. trial.Law.ToArray().Select(p => (double)p)]),
        SiblingFlaw.DrawReused => Next(trial.Token),
        _ => trial.Dice.Draw(_p),
    };

    /// <summary>The token behind the refused one, in a circle, that can occur.</summary>
    private int Next(int token)
    {
        do
        {
            token = (token + 1) % _p.Length;
        }
        while (_p[token] <= 0);

        return token;
    }

    /// <summary>Nothing refused yet: what is left of p is p.</summary>
    private static bool IsFirst(in Trial trial)
    {
        var total = trial.Law.ToArray().Sum(p => (double)p);
        for (var token = 0; token < trial.Law.Length; token++)
        {
            if (Math.Abs(trial.Rest[token] - trial.Law[token] / total) > 1e-12)
            {
                return false;
            }
        }

        return true;
    }

    private static void Scale(double[] law)
    {
        var total = law.Sum();
        for (var token = 0; token < law.Length && total > 0; token++)
        {
            law[token] /= total;
        }
    }
}
