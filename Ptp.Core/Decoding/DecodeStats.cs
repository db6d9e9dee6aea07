// Every figure of a decoding run, defined once; only committed tokens count.
//   correct = leading draft tokens that verify; accepted = correct + 1; round = one verification; call = one forward pass
// Means are pooled over rounds; a mean over tasks is made by whoever holds several of these. Refuses: estimates.

namespace Ptp.Core.Decoding;

/// <summary>Counts and times of one or more decoded texts.</summary>
public sealed class DecodeStats
{
    private long[] _correctHistogram = new long[1];
    private long[] _slotTried = new long[1];
    private long[] _slotRight = new long[1];
    private long[] _slotReached = new long[1];

    /// <summary>Tokens committed.</summary>
    public long Tokens { get; private set; }

    /// <summary>Verifications. For plain decoding each call verifies an empty draft.</summary>
    public long Rounds { get; private set; }

    /// <summary>Forward passes of the model that verifies, drafting passes through it included; not the prompt's.</summary>
    public long Calls { get; private set; }

    /// <summary>Forward passes of a separate drafter.</summary>
    public long DrafterCalls { get; private set; }

    /// <summary>Rows of all calls.</summary>
    public long Rows { get; private set; }

    /// <summary>Sum of correct draft tokens.</summary>
    public long Correct { get; private set; }

    /// <summary>Rounds whose first draft token, as the drafter itself predicted it, was right.</summary>
    public long FirstRight { get; private set; }

    /// <summary>Rounds in which the drafter predicted a first token.</summary>
    public long FirstTried { get; private set; }

    /// <summary>Sum over rounds of the leading correct tokens of the drafter alone, its first token not replaced.</summary>
    public long OwnCorrect { get; private set; }

    /// <summary>Seconds for the prompt.</summary>
    public double PromptSeconds { get; private set; }

    /// <summary>Seconds after the prompt.</summary>
    public double Seconds { get; private set; }

    /// <summary>Correct per round, pooled: Correct / Rounds.</summary>
    public double CorrectPerRound => Ratio(Correct, Rounds);

    /// <summary>Accepted per round, pooled: Tokens / Rounds, as a round commits its correct tokens and one more.</summary>
    public double AcceptedPerRound => Ratio(Tokens, Rounds);

    /// <summary>Accepted per round had the drafter's own first token been kept: OwnCorrect / Rounds + 1.</summary>
    public double OwnAcceptedPerRound => Rounds == 0 ? 0 : Ratio(OwnCorrect, Rounds) + 1;

    /// <summary>Tokens per forward pass of any model: Tokens / (Calls + DrafterCalls).</summary>
    public double TokensPerCall => Ratio(Tokens, Calls + DrafterCalls);

    /// <summary>Rows per forward pass.</summary>
    public double RowsPerCall => Ratio(Rows, Calls + DrafterCalls);

    /// <summary>Milliseconds per token after the prompt.</summary>
    public double MillisecondsPerToken => Tokens == 0 ? 0 : 1000 * Seconds / Tokens;

    /// <summary>Rounds by number of correct tokens: entry m counts rounds with m.</summary>
    public ReadOnlySpan<long> CorrectHistogram => _correctHistogram;

    /// <summary>Rounds in which slot j was drafted.</summary>
    public ReadOnlySpan<long> SlotTried => _slotTried;

    /// <summary>Rounds in which slots 0 to j were all right.</summary>
    public ReadOnlySpan<long> SlotRight => _slotRight;

    /// <summary>Rounds in which slot j was drafted and all slots before it were right.</summary>
    public ReadOnlySpan<long> SlotReached => _slotReached;

    /// <summary>Counts one forward pass.</summary>
    public void AddCall(int rows, bool ofDrafter = false)
    {
        Rows += rows;
        _ = ofDrafter ? DrafterCalls++ : Calls++;
    }

    /// <summary>Counts one round.</summary>
    /// <param name="drafted">Draft tokens that were verified.</param>
    /// <param name="correct">Leading ones that were right.</param>
    /// <param name="committed">Tokens committed, after cutting at an end token.</param>
    public void AddRound(int drafted, int correct, int committed)
    {
        // What an end token cuts off was never committed, so it was never correct either.
        correct = Math.Min(correct, committed);
        Rounds++;
        Tokens += committed;
        Correct += correct;
        Grow(ref _correctHistogram, correct + 1);
        _correctHistogram[correct]++;
        Grow(ref _slotTried, drafted);
        Grow(ref _slotRight, drafted);
        Grow(ref _slotReached, drafted);
        for (var slot = 0; slot < drafted; slot++)
        {
            _slotTried[slot]++;
            _slotRight[slot] += slot < correct ? 1 : 0;
            _slotReached[slot] += slot <= correct ? 1 : 0;
        }
    }

    /// <summary>Counts what the drafter's own tokens would have scored.</summary>
    /// <param name="firstRight">Whether its first token was right.</param>
    /// <param name="correct">Leading tokens right, its own first included.</param>
    public void AddOwn(bool firstRight, int correct)
    {
        FirstTried++;
        FirstRight += firstRight ? 1 : 0;
        OwnCorrect += correct;
    }

    /// <summary>Adds time.</summary>
    public void AddTime(double promptSeconds, double seconds)
    {
        PromptSeconds += promptSeconds;
        Seconds += seconds;
    }

    /// <summary>Adds all counts of another text.</summary>
    public void Add(DecodeStats other)
    {
        Tokens += other.Tokens;
        Rounds += other.Rounds;
        Calls += other.Calls;
        DrafterCalls += other.DrafterCalls;
        Rows += other.Rows;
        Correct += other.Correct;
        FirstRight += other.FirstRight;
        FirstTried += other.FirstTried;
        OwnCorrect += other.OwnCorrect;
        AddTime(other.PromptSeconds, other.Seconds);
        AddTo(ref _correctHistogram, other._correctHistogram);
        AddTo(ref _slotTried, other._slotTried);
        AddTo(ref _slotRight, other._slotRight);
        AddTo(ref _slotReached, other._slotReached);
    }

    private static double Ratio(long a, long b) => b == 0 ? 0 : (double)a / b;

    private static void Grow(ref long[] counts, int length)
    {
        if (counts.Length < length)
        {
            Array.Resize(ref counts, length);
        }
    }

    private static void AddTo(ref long[] to, long[] from)
    {
        Grow(ref to, from.Length);
        for (var i = 0; i < from.Length; i++)
        {
            to[i] += from[i];
        }
    }
}
