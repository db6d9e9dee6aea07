// What drafting may lose: by a made-up clock, drafts that do not pay cost two percent of the time at most, whatever was expected of them
// and however dear a draft behind many plain rounds is; drafts that pay are made, also after a machine that was away.
// Source: plain rounds of one millisecond. Controls: a draft in every 64th round, and drafts in all rounds, lose far more on the same clock.

using Ptp.Core.Decoding;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class DraftLedgerTests
{
    private const int Rounds = 10_000;
    private const double Lost = 0.02;

    private static readonly CallCosts s_flat = new([new(1, 0, 1), new(32, 0, 1)]); // rows cost nothing, or so it was measured

    // A drafter that must catch up with the text: a third of a round for each round since its last draft in a text of a hundred, as heads
    // that attend do.
    [Fact]
    public void Drafts_that_have_to_catch_up_are_rare()
    {
        var clock = new Clock { CatchUp = 0.3 };
        var ledger = new DraftLedger(s_flat, () => clock.Now);
        Assert.InRange(clock.Loss(() => ledger.Begin(10, pays: false), drafted => ledger.End(1, drafted)), 0.001, Lost);

        var (round, every) = (0, new Clock { CatchUp = 0.3 });
        Assert.True(every.Loss(() => ++round % 64 == 0, _ => { }) > 0.2, "control: once in 64 rounds");
    }

    // 40 clocks: a draft takes up to eight rounds and brings fewer tokens than that; every round is expected to pay.
    [Fact]
    public void Expected_gains_that_do_not_come_are_found_out() => Cases.Run(40, random =>
    {
        var takes = 2 + 6 * random.NextDouble();
        var tokens = 1 + random.Next((int)takes - 1);
        var clock = new Clock { Takes = takes, Tokens = tokens };
        var ledger = new DraftLedger(s_flat, () => clock.Now);
        Assert.InRange(clock.Loss(() => ledger.Begin(10, pays: true), drafted => ledger.End(drafted ? tokens : 1, drafted)), 0, Lost);
        Assert.True(new Clock { Takes = takes, Tokens = tokens }.Loss(() => true, _ => { }) > 5 * Lost, "control: always");
    });

    // The same through what chooses lengths of chains: costs say that slots are free, the clock says that a round takes five.
    [Fact]
    public void Lengths_give_up_drafts_that_were_measured_too_cheap()
    {
        double Loss(bool always)
        {
            var clock = new Clock { Takes = 5, Tokens = 2 };
            var length = new PayingLength(s_flat, s_flat, 8, always: always, clock: () => clock.Now);
            return clock.Loss(() => length.Draft(10, 8) > 0, drafted => length.Observe(drafted ? 8 : 0, drafted ? 1 : 0, false));
        }

        Assert.InRange(Loss(always: false), 0, Lost);
        Assert.True(Loss(always: true) > 0.5, "control: always");
    }

    // Two of three drafts bring nothing and one brings twelve tokens for six rounds' time: they lose singly and pay together.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Drafts_that_pay_are_made(bool expected)
    {
        var (count, clock) = (0, new Clock { Takes = 3 });
        var ledger = new DraftLedger(s_flat, () => clock.Now);
        int Tokens(bool drafted) => drafted && ++count % 3 == 0 ? 12 : 1;
        clock.Loss(() => ledger.Begin(10, expected), drafted => ledger.End(Tokens(drafted), drafted));
        Assert.InRange((double)count / Rounds, expected ? 0.9 : 0.3, 1);
    }

    // The machine is away for a second in a drafted round: drafts that pay go on soon.
    [Fact]
    public void A_machine_that_was_away_is_forgiven()
    {
        var (count, clock) = (0, new Clock { Takes = 2, Tokens = 3 });
        var ledger = new DraftLedger(s_flat, () => clock.Now);
        clock.Loss(() => ledger.Begin(10, pays: true), drafted =>
        {
            clock.Now += drafted && ++count == 500 ? 1000 : 0;
            ledger.End(drafted ? 3 : 1, drafted);
        });
        Assert.InRange((double)count / Rounds, 0.9, 1);
    }

    // Decoders that end a round early, or never asked, book nothing.
    // What is reported is the mean of what plain rounds took, one slow one among them; what decides is their median.
    [Fact]
    public void Plain_rounds_are_known_by_what_they_took()
    {
        var now = 0.0;
        var ledger = new DraftLedger(s_flat, () => now);
        Assert.Equal((1, 1), (ledger.PlainMilliseconds(10), ledger.MeanPlainMilliseconds(10)));
        foreach (var took in new[] { 99.0, 2, 2, 2, 2, 7 }) // the first stands behind a start, not behind a plain round
        {
            ledger.Begin(10, pays: false, risk: 1000);
            now += took;
            ledger.End(1, drafted: false);
        }

        Assert.Equal((2, 3), (ledger.PlainMilliseconds(10), ledger.MeanPlainMilliseconds(10)));
    }

    [Fact]
    public void Times_that_were_not_begun_are_not_booked()
    {
        var ledger = new DraftLedger(s_flat, () => 5);
        Assert.Null(ledger.End(1, true));
        var before = ledger.Balance;
        ledger.Begin(10, pays: true);
        Assert.Equal(0, ledger.End(1, false));
        Assert.InRange(ledger.Balance - before, 0, 0.1);
    }

    /// <summary>A round takes a millisecond; a drafted one takes longer, and longer still behind plain ones.</summary>
    private sealed class Clock
    {
        private int _plain;

        public double Now { get; set; }

        public double Takes { get; init; } = 1.5;

        public double CatchUp { get; init; }

        public int Tokens { get; init; } = 1;

        /// <summary>Share of the time that plain decoding of as many tokens would not have taken.</summary>
        public double Loss(Func<bool> begin, Action<bool> end)
        {
            var (start, tokens) = (Now, 0);
            for (var round = 0; round < Rounds; round++)
            {
                var drafts = begin();
                Now += drafts ? Takes + CatchUp * Math.Min(100, _plain) : 1;
                _plain = drafts ? 0 : _plain + 1;
                tokens += drafts ? Tokens : 1;
                end(drafts);
            }

            return (Now - start) / tokens - 1;
        }
    }
}
