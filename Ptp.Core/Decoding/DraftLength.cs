// How many tokens to draft and to verify in a round: as many as pay, given what calls cost and how drafts have fared so far.
//   maximise tokens / time:  n = 0: 1 / c(1);  n > 0: (E[accepted] of n drafted, k verified) / (d(1 + n) + c(k))
// It changes the time, never the text. Refuses: nothing; with nothing observed it starts from a prior of four rounds.

namespace Ptp.Core.Decoding;

/// <summary>Chooses lengths of drafts.</summary>
public interface IDraftLength
{
    /// <summary>Tokens to draft now; 0 = a plain call of one row.</summary>
    /// <param name="context">Tokens in the cache.</param>
    /// <param name="most">What the drafter, the context and the limit allow.</param>
    int Draft(int context, int most);

    /// <summary>Of the drafted tokens, how many to verify.</summary>
    /// <param name="context">Tokens in the cache.</param>
    /// <param name="drafted">Tokens of the draft.</param>
    /// <param name="firstRight">Whether the drafter's own first token was right, where that is known before verifying.</param>
    /// <param name="chances">Chance of each drafted token to be right if all before it are, [drafted]; empty = not measured.</param>
    int Verify(int context, int drafted, bool firstRight, ReadOnlySpan<double> chances);

    /// <summary>Learns from a round, at its end; of a plain one too.</summary>
    /// <param name="verified">Draft tokens that were verified.</param>
    /// <param name="correct">Leading ones that were right.</param>
    /// <param name="firstRight">As for <see cref="Verify"/>.</param>
    void Observe(int verified, int correct, bool firstRight);
}

/// <summary>Always as many as possible.</summary>
public sealed class LongestLength : IDraftLength
{
    /// <inheritdoc/>
    public int Draft(int context, int most) => most;

    /// <inheritdoc/>
    public int Verify(int context, int drafted, bool firstRight, ReadOnlySpan<double> chances) => drafted;

    /// <inheritdoc/>
    public void Observe(int verified, int correct, bool firstRight)
    {
        // What fared how changes nothing here.
    }
}

/// <summary>As many as pay on this machine.</summary>
/// <param name="costs">What calls of the verifier cost, c.</param>
/// <param name="drafting">What drafting calls cost, d: gated rows cost more than plain ones, a small student's less.</param>
/// <param name="slots">Most tokens per draft.</param>
/// <param name="firstIsExact">
/// True if drafts run through the verifier itself (gated LoRA): then drafting also yields the law of the first token, which is
/// always right, and verification has a row less. False for a student, or a twin of the verifier.
/// </param>
/// <param name="always">True to draft in every round, the best length even where a plain call would be faster.</param>
/// <param name="clock">Milliseconds of a clock; null = the machine's.</param>
public sealed class PayingLength(
    CallCosts costs, CallCosts drafting, int slots, bool firstIsExact = true, bool always = false, Func<double>? clock = null) : IDraftLength
{
    // Calls are measured in a loop, caches warm; a gain below this is within what that misses.
    private const double Margin = 1.1;
    // A choice holds for this many plain rounds, or half as many drafted ones, which teach more: comparing all lengths in each
    // round would cost a fifth of a small model's call.
    private const int Refresh = 16;
    private readonly DraftSurvival[] _survival = [new(slots), new(slots)]; // [first wrong, first right]
    private readonly DraftLedger _ledger = new(costs, clock);
    private double _rate; // tokens per millisecond that the last choice expects
    private (int Best, double Rate, double Risk, int Most) _choice;
    private int _age = Refresh;
    private double _predicted; // sum over rounds
    private int _rounds;

    /// <summary>Rows of a drafting call beyond 1 + drafted tokens: a student's call carries what the last round committed, two tokens as a rule.</summary>
    public int Lag { get; init; } = firstIsExact ? 0 : 1;

    /// <summary>Tokens per millisecond that the choices expected, against plain decoding at the same places: their mean over rounds.</summary>
    public double PredictedSpeedup => _rounds == 0 ? 1 : _predicted / _rounds;

    /// <summary>Milliseconds of a plain round behind so many tokens: the mean of those so far, host and cold start included.</summary>
    public double PlainMilliseconds(int context) => _ledger.MeanPlainMilliseconds(context);

    /// <inheritdoc/>
    public int Draft(int context, int most)
    {
        var plain = 1 / costs.Milliseconds(1, context);
        most = Math.Min(slots, most);
        if (++_age >= Refresh || _choice.Most != most)
        {
            (_choice, _age) = (Best(context, most), 0);
        }

        var (best, rate, risk, _) = _choice;
        if (_ledger.Begin(context, rate > Margin * plain, risk) || always)
        {
            _rate = always ? rate : Math.Max(rate, plain);
            Predict(rate / plain);
            return best;
        }

        _rate = plain;
        Predict(1);
        return 0;
    }

    /// <inheritdoc/>
    public int Verify(int context, int drafted, bool firstRight, ReadOnlySpan<double> chances) =>
        firstIsExact || !chances.IsEmpty ? BestVerified(context, drafted, firstRight, _rate, chances).Verified : drafted;

    /// <inheritdoc/>
    public void Observe(int verified, int correct, bool firstRight)
    {
        _ledger.End(correct + 1, verified > 0);
        if (verified == 0)
        {
            return;
        }

        _age++;
        var which = _survival[firstRight || !firstIsExact ? 1 : 0];
        if (firstIsExact)
        {
            _survival[0].First.Add(firstRight);
        }

        which.Observe(verified, correct, firstIsExact ? 1 : 0);
    }

    private void Predict(double speedup)
    {
        _predicted += speedup;
        _rounds++;
    }

    private (int Best, double Rate, double Risk, int Most) Best(int context, int most)
    {
        var (best, rate) = (0, 0.0);
        for (var drafted = firstIsExact ? 2 : 1; drafted <= most; drafted++)
        {
            var own = Rate(context, drafted);
            if (own > rate)
            {
                (best, rate) = (drafted, own);
            }
        }

        // What a draft of this length takes at least, in plain rounds, beyond the tokens it brings at least.
        var one = costs.Milliseconds(1, context);
        var risk = best == 0 ? 0
            : firstIsExact ? drafting.Milliseconds(1 + best, context) / one + 1 - 2
            : (drafting.Milliseconds(1 + Lag + best, context) + costs.Milliseconds(1 + best, context)) / one - 1;
        return (best, rate, risk, most);
    }

    /// <summary>Tokens per millisecond with drafts of one length.</summary>
    private double Rate(int context, int drafted)
    {
        if (!firstIsExact)
        {
            var expected = 1 + _survival[1].Expected(drafted);
            return expected / (drafting.Milliseconds(1 + Lag + drafted, context) + costs.Milliseconds(1 + drafted, context));
        }

        var own = drafting.Milliseconds(1 + drafted, context);

        // How much to verify depends on the rate that is gained, and the other way round; it settles at once.
        var rate = 1 / costs.Milliseconds(1, context);
        var share = _survival[0].First.Mean;
        for (var i = 0; i < 3; i++)
        {
            var right = BestVerified(context, drafted, true, rate);
            var wrong = BestVerified(context, drafted, false, rate);
            rate = (share * right.Tokens + (1 - share) * wrong.Tokens)
                / (own + share * right.Milliseconds + (1 - share) * wrong.Milliseconds);
        }

        return rate;
    }

    /// <summary>The verified length whose tokens exceed by most what the same time brings at <paramref name="rate"/>.</summary>
    private (int Verified, double Tokens, double Milliseconds) BestVerified(
        int context, int drafted, bool firstRight, double rate, ReadOnlySpan<double> chances = default)
    {
        var known = firstIsExact ? 1 : 0; // tokens that need no row of their own
        var best = (Verified: known, Tokens: 1.0 + known, Milliseconds: costs.Milliseconds(1, context));
        var (tokens, alive) = (best.Tokens, 1.0);
        for (var verified = known + 1; verified <= drafted; verified++)
        {
            alive *= chances.IsEmpty ? _survival[firstRight ? 1 : 0].Slots[verified - 1].Mean : chances[verified - 1];
            tokens += alive;
            var cost = costs.Milliseconds(verified + 1 - known, context);
            if (tokens - rate * cost > best.Tokens - rate * best.Milliseconds)
            {
                best = (verified, tokens, cost);
            }
        }

        return best;
    }
}
