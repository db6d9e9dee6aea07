// Negative controls of the decoder contract: each breaks one thing, and the contract must notice.
// Source: the ways in which speculative decoders of the field lose exactness.
// Not here: the contract.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class ControlTests
{
    private const int Count = 60;

    [Fact]
    public void Without_a_flaw_the_second_writing_is_exact() => Assert.Empty(Differences(Flaw.None));

    // Not every case can show a flaw: at temperature 0 no u matters, and a short text may lack the place for it.
    [Theory]
    [InlineData(Flaw.ShiftedU, Count / 4)]
    [InlineData(Flaw.FreshU, Count / 4)]
    [InlineData(Flaw.Unverified, Count / 3)]
    [InlineData(Flaw.Uncropped, Count / 3)]
    [InlineData(Flaw.PastTheEnd, 2)]
    public void Control_a_flaw_is_found(Flaw flaw, int atLeast) =>
        Assert.InRange(Differences(flaw).Count, atLeast, Count);

    [Fact]
    public void Control_another_u_gives_another_text()
    {
        using var backend = new CpuBackend(1);
        var different = 0;
        for (var seed = 0UL; seed < Count; seed++)
        {
            var drawn = new ExactnessCase(backend, seed);
            var decoder = drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Perfect));
            different += drawn.Difference(decoder, new ShiftedAuxiliaries(drawn.U)) is null ? 0 : 1;
        }

        Assert.InRange(different, Count / 4, Count);
    }

    // What drafts from rounded weights must never leak: texts of the twin itself are other texts.
    [Fact]
    public void Control_a_twin_of_rounded_weights_that_verifies_is_found()
    {
        using var backend = new CpuBackend(1);
        var different = 0;
        for (var seed = 0UL; seed < Count; seed++)
        {
            var drawn = new ExactnessCase(backend, seed);
            different += drawn.Difference(new Autoregressive(drawn.Model.Twin(WeightFormat.Int8), drawn.Law, drawn.Rule)) is null ? 0 : 1;
        }

        Assert.InRange(different, Count / 20, Count);
    }

    [Fact]
    public void Control_a_drafter_that_leaves_rows_in_the_cache_is_found()
    {
        using var backend = new CpuBackend(1);
        var drawn = new ExactnessCase(backend, 3);
        Assert.True(drawn.Expected.Tokens.Length > drawn.Slots + 1, "The case must have a second round.");
        Assert.NotNull(drawn.Difference(drawn.ErrorCorrected(new LitteringDrafter())));
    }

    // Branches: u that is drawn anew for every call (each u_g is then used for several tokens), and u one token further.
    [Theory]
    [InlineData(DrafterKind.Gated)]
    [InlineData(DrafterKind.Categorical)]
    public void Control_branches_with_u_of_another_call_are_found(DrafterKind kind)
    {
        using var backend = new CpuBackend(1);
        var (redrawn, shifted) = (0, 0);
        for (var seed = 0UL; seed < Count; seed++)
        {
            var drawn = new ExactnessCase(backend, seed);
            Assert.Null(drawn.Difference(drawn.PartialQuadratic(kind)));
            redrawn += drawn.Difference(drawn.PartialQuadratic(kind), new RedrawnAuxiliaries(drawn.U)) is null ? 0 : 1;
            shifted += drawn.Difference(drawn.PartialQuadratic(kind), new ShiftedAuxiliaries(drawn.U)) is null ? 0 : 1;
        }

        Assert.InRange(redrawn, Count / 4, Count);
        Assert.InRange(shifted, Count / 4, Count);
    }

    private static List<string> Differences(Flaw flaw)
    {
        using var backend = new CpuBackend(1);
        var differences = new List<string>();
        for (var seed = 0UL; seed < Count; seed++)
        {
            var drawn = new ExactnessCase(backend, seed);
            if (drawn.Difference(new FlawedDecoder(drawn, flaw)) is { } difference)
            {
                differences.Add($"{drawn}: {difference}");
            }
        }

        return differences;
    }

    private sealed class ShiftedAuxiliaries(Auxiliaries u) : Auxiliaries
    {
        public override int Width => u.Width;

        public override float At(long g, int j) => u.At(g + 1, j);
    }

    /// <summary>Other numbers at every reading.</summary>
    private sealed class RedrawnAuxiliaries(Auxiliaries u) : Auxiliaries
    {
        private long _readings;

        public override int Width => u.Width;

        public override float At(long g, int j) => u.At(++_readings, j);
    }

    /// <summary>Stores a row that nobody counted as a draft.</summary>
    private sealed class LitteringDrafter : IDrafter
    {
        public int Slots => 1;

        public void Start(IReadOnlyList<int> prompt)
        {
            // No state.
        }

        public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
        {
            session.Verify([session.Tokens[^1]]);
            return new Draft([0], [0f], knowsFirstLaw: false);
        }
    }
}
