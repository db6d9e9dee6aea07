// What drafting has won and lost against plain decoding, by the clock, and whether more may be risked: never slower but for a small share.
//   balance, in plain rounds: + tokens - ms / ms of a plain round for a drafted round, + 1 % of every round's time;  draft while it is above 0
// Where no gain is expected, two rounds in turn are drafted to find out, again at once if they gain, else after twice as long. Refuses: nothing.

using System.Diagnostics;

namespace Ptp.Core.Decoding;

/// <summary>Lets drafts go on while measured time allows it.</summary>
/// <param name="costs">What a plain call costs; how it grows with the text is taken from here, how long it takes now is measured.</param>
/// <param name="clock">Milliseconds of a clock; null = the machine's.</param>
public sealed class DraftLedger(CallCosts costs, Func<double>? clock = null)
{
    private const double Share = 0.01; // of all time may be lost
    private const double Grant = 4; // plain rounds that may be lost at once, in the beginning
    private const double Most = 32; // and after gains; enough for a bad stretch of drafts that do pay
    private const int Turn = 32; // two rounds in so many are plain where drafts pay, or what plain rounds take would be only remembered
    private const int Burst = 2; // the first draft behind plain rounds has to catch up with the text, the second tells what drafts take
    private const int Free = 2; // drafts of the beginning that cost nothing: they are compiled as they run
    private const int FirstPlain = 1; // rounds that count, before anything else
    private const int ShortestGap = 8;
    private const int LongestGap = 256;
    private const double LeastShare = 0.25; // of its measured cost that a plain call is believed to take
    private const int Remembered = 5; // few, as the machine changes; more than one, as it stumbles
    private readonly Func<double> _clock = clock ?? (() => Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency);
    private readonly double[] _ratios = new double[Remembered]; // of the latest plain rounds, time to measured cost
    private readonly double[] _ordered = new double[Remembered];
    private double _ratio = 1; // their median
    private double _sum; // of all of them
    private int _plain;
    private double _balance = Grant;
    private double _gain; // of this burst
    private int _burst;
    private int _gap;
    private int _waited;
    private int _turn = 1;
    private bool _behindDraft = true; // so was the last round: what is then slow is not plain decoding
    private int _drafts;
    private double _start = double.NaN; // of this round
    private int _context;

    /// <summary>Plain rounds that may be lost now.</summary>
    public double Balance => _balance;

    /// <summary>Milliseconds of a plain round, as the latest took.</summary>
    public double PlainMilliseconds(int context) => Math.Max(LeastShare, _ratio) * costs.Milliseconds(1, context);

    /// <summary>The same for all plain rounds so far, slow moments among them; before the first, what was measured before decoding.</summary>
    public double MeanPlainMilliseconds(int context) => (_plain == 0 ? 1 : _sum / _plain) * costs.Milliseconds(1, context);

    /// <summary>Whether two drafts may be tried of which each takes so many plain rounds beyond one.</summary>
    /// <remarks>What costs more than can be saved up is tried when half of the most is there.</remarks>
    public bool Affords(double risk) => _balance > Math.Min(Burst * Math.Max(0, risk), Most / 2);

    /// <summary>Begins a round, and says whether to draft in it.</summary>
    /// <param name="context">Tokens in the cache.</param>
    /// <param name="pays">Whether a gain is expected.</param>
    /// <param name="risk">Where it is not: plain rounds that a draft is known to take at least, beyond one.</param>
    public bool Begin(int context, bool pays, double risk = 0)
    {
        (_start, _context) = (_clock(), context);
        return _plain >= FirstPlain && (pays ? Goes() : Tries(risk));
    }

    /// <summary>Ends a round.</summary>
    /// <param name="tokens">Tokens it brought.</param>
    /// <param name="drafted">Whether it did draft; what was allowed need not be taken.</param>
    /// <returns>Milliseconds that it took; null if it was not begun.</returns>
    public double? End(int tokens, bool drafted)
    {
        var ms = _clock() - _start;
        if (double.IsNaN(ms))
        {
            return null;
        }

        _start = double.NaN;
        if (!drafted)
        {
            if (!_behindDraft)
            {
                Plain(ms / costs.Milliseconds(1, _context));
            }

            _balance = Math.Min(Most, _balance + Share);
            (_burst, _behindDraft) = (0, false);
            return ms;
        }

        // A machine that is away for longer than this was not kept busy by the draft.
        var rounds = Math.Min(Most, ms / PlainMilliseconds(_context));
        var gain = ++_drafts > Free ? tokens - rounds : 0;
        _balance = Math.Min(Most, _balance + gain + Share * rounds);
        _behindDraft = true;
        _gain += gain;
        if (_burst > 0 && --_burst == 0)
        {
            _gap = _gain > 0 ? 0 : Math.Clamp(2 * _gap, ShortestGap, LongestGap);
            _waited = 0;
        }

        return ms;
    }

    /// <summary>Whether to draft where it seems to pay: unless time has shown that it does not, and but for a plain round now and then.</summary>
    private bool Goes()
    {
        (_burst, _gap) = (0, ShortestGap);
        return ++_turn % Turn > 1 && _balance > 0;
    }

    private bool Tries(double risk)
    {
        if (_burst > 0)
        {
            return true;
        }

        if (_waited++ < _gap || !Affords(risk))
        {
            return false;
        }

        (_burst, _gain) = (Burst, 0);
        return true;
    }

    private void Plain(double ratio)
    {
        _sum += ratio;
        _ratios[_plain++ % Remembered] = ratio;
        var known = Math.Min(_plain, Remembered);
        _ratios.AsSpan(0, known).CopyTo(_ordered);
        _ordered.AsSpan(0, known).Sort();
        _ratio = _ordered[known / 2];
    }
}
