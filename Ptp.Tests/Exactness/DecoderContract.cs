// The contract of every exact decoder: same u, same tokens, same stop as decoding one token at a time; and it progresses.
// Source: PTP section 5.1; properties 5, 14 and 15. Cases are generated (Ptp.Reference.Commands.ExactnessCase).
// Not here: speed. A new decoder inherits this class in three lines.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public abstract class DecoderContract : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    /// <summary>The decoder under test, for one case.</summary>
    protected abstract IDecoder Decoder(ExactnessCase drawn);

    /// <summary>Cases of the first property; 45 more serve the others.</summary>
    protected virtual int CasesOfEquality => 110;

    [Fact]
    public void Same_u_same_tokens_same_stop() => Cases.RunSeeds(CasesOfEquality, seed =>
    {
        var drawn = new ExactnessCase(_backend, (ulong)seed);
        Holds(drawn, drawn.Difference(Decoder(drawn)));
    });

    // 15 cases: a second text on the same decoder must not see the first one.
    [Fact]
    public void A_decoder_can_be_used_again() => Cases.RunSeeds(15, seed =>
    {
        var drawn = new ExactnessCase(_backend, 1000 + (ulong)seed);
        var decoder = Decoder(drawn);
        decoder.Decode([drawn.Prompt[0]], Auxiliaries.FromSeed(7, drawn.U.Width), new DecodeLimits(5, []));
        Holds(drawn, drawn.Difference(decoder));
    });

    // 15 cases: u_g decides token g, and no token before it.
    [Fact]
    public void Later_u_changes_no_earlier_token() => Cases.RunSeeds(15, seed =>
    {
        var drawn = new ExactnessCase(_backend, 2000 + (ulong)seed);
        var kept = seed % (drawn.Expected.Tokens.Length + 1);
        var width = drawn.U.Width;
        var other = Auxiliaries.FromSeed((ulong)seed, width);
        var changed = Auxiliaries.FromValues(
            [.. Enumerable.Range(0, 64 * width).Select(i => (i / width < kept ? drawn.U : other).At(i / width, i % width))], width);
        var decoded = Decoder(drawn).Decode(drawn.Prompt, changed, drawn.Limits);
        Assert.Equal(drawn.Expected.Tokens[..kept], decoded.Tokens[..kept]);
    });

    // 15 cases: stopping between rounds leaves a prefix, and nothing that was not told.
    [Fact]
    public void A_caller_that_stops_gets_a_prefix() => Cases.RunSeeds(15, seed =>
    {
        var drawn = new ExactnessCase(_backend, 3000 + (ulong)seed);
        var told = new List<int>();
        var decoded = Decoder(drawn).Decode(drawn.Prompt, drawn.U, drawn.Limits, commitment =>
        {
            told.AddRange(commitment.Tokens.Span);
            return told.Count < 3;
        });
        Assert.Equal(told, decoded.Tokens);
        Assert.Equal(drawn.Expected.Tokens[..told.Count], decoded.Tokens);
        Assert.True(decoded.Stop == StopReason.Cancelled || decoded.Tokens.Length == drawn.Expected.Tokens.Length);
    });

    protected static void Holds(ExactnessCase drawn, string? difference) =>
        Assert.True(difference is null, $"{drawn}: {difference}");

    public void Dispose()
    {
        _backend.Dispose();
        GC.SuppressFinalize(this);
    }
}
