// The ratio rule written a second time, with switches for the three mistakes that it must not make.
// Source: the follow-up's own code, in which all three are made at once. Without a flaw it is the ratio rule.
// Not here: what the flaws lead to (Ptp.Reference.Oracle.ScalarRatio).

using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;

namespace Ptp.Tests.Verification;

/// <summary>Accept with min(1, p(x) / q(x)), else draw from max(0, p - q).</summary>
/// <param name="confidence">q(x), the remainder spread evenly; 1 is the truth about a deterministic drafter.</param>
/// <param name="sharesU">True to draw with the u that made x.</param>
/// <param name="normalises">False to close the cumulative sum with 1 at the last id instead.</param>
internal sealed class FlawedRatio(double confidence, bool sharesU, bool normalises) : VerificationRule
{
    public override string Name => "flawed ratio";

    public override bool Accepts(in Trial trial) => trial.Dice.Coin(trial.Law[trial.Token] / confidence);

    public override int Replacement(in Trial trial)
    {
        if (trial.Token < 0)
        {
            return trial.Picked; // the fourth: a bonus token that u picks
        }

        var others = (1 - confidence) / (trial.Law.Length - 1);
        var rest = new double[trial.Law.Length];
        for (var token = 0; token < rest.Length; token++)
        {
            rest[token] = Math.Max(0, trial.Law[token] - (token == trial.Token ? confidence : others));
        }

        if (!normalises)
        {
            rest[^1] = 1 - rest.SkipLast(1).Sum();
        }

        return sharesU ? Pick.Token(trial.U, [.. rest.Select(p => (float)(p / rest.Sum()))]) : trial.Dice.Draw(rest);
    }
}
