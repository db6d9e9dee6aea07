// Every figure of a decoding run, defined once; only committed tokens count.
//   correct = leading draft tokens that verify; accepted = correct + 1; round = one verification; call = one forward pass
// Means are pooled over rounds; a mean over tasks is made by whoever holds several of these. Refuses: estimates.

namespace Ptp.Core.Decoding;

/// <summary>Counts and times of one or more decoded texts.</summary>
public sealed class DecodeStats
{
    private readonly Counts _correctHistogram = new();
    private readonly Counts _slotTried = new();
    private readonly Counts _slotRight = new();
    private readonly Counts _slotReached = new();

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
    public ReadOnlySpan<long> CorrectHistogram => _correctHistogram.Span;

    /// <summary>Rounds in which slot j was drafted.</summary>
    public ReadOnlySpan<long> SlotTried => _slotTried.Span;

    /// <summary>Rounds in which slots 0 to j were all right.</summary>
    public ReadOnlySpan<long> SlotRight => _slotRight.Span;

    /// <summary>Rounds in which slot j was drafted and all slots before it were right.</summary>
    public ReadOnlySpan<long> SlotReached => _slotReached.Span;

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
        _correctHistogram.Add(correct, 1);
        for (var slot = 0; slot < drafted; slot++)
        {
            _slotTried.Add(slot, 1);
            _slotRight.Add(slot, slot < correct ? 1 : 0);
            _slotReached.Add(slot, slot <= correct ? 1 : 0);
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
        _correctHistogram.Add(other._correctHistogram);
        _slotTried.Add(other._slotTried);
        _slotRight.Add(other._slotRight);
        _slotReached.Add(other._slotReached);
    }

    private static double Ratio(long a, long b) => b == 0 ? 0 : (double)a / b;

    /// <summary>Counts by place; room for the usual drafts from the start, so that rounds do not allocate.</summary>
    private sealed class Counts
    {
        private long[] _counts = new long[64];
        private int _length = 1;

        public ReadOnlySpan<long> Span => _counts.AsSpan(0, _length);

        public void Add(int place, long count)
        {
            if (place >= _counts.Length)
            {
                Array.Resize(ref _counts, 2 * place);
            }

            _length = Math.Max(_length, place + 1);
            _counts[place] += count;
        }

        public void Add(Counts other)
        {
            for (var i = 0; i < other._length; i++)
            {
                Add(i, other._counts[i]);
            }
        }
    }
}
