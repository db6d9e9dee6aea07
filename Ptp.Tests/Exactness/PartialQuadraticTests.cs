// Partial quadratic decoding returns plain decoding's tokens whatever it spends: any budget, fixed or chosen by cost, any weights of the branches.
// Source: PTP section 5.2; property 16. The weights come from confidences, so maps that make every draft certain, hopeless or random stand in.
// Not here: what branches draft (BranchDraftTests), how well a budget is split (BranchAllocationTests).

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class PartialQuadraticTests : IDisposable
{
    private const int Seeds = 90;
    private static readonly string[] s_modes = ["fixed", "by cost", "as printed", "fitted survival", "linear", "quadratic"];
    private static readonly ConfidenceCalibration?[] s_weights = [null, Always(1), Always(0), Always(0.5)];
    private readonly CpuBackend _backend = new(1);

    // 90 seeds x 2 kinds of slots x 6 modes = 1,080 cases; budgets of 0 to 63 slots and weights go round over the seeds.
    [Theory]
    [InlineData(DrafterKind.Gated)]
    [InlineData(DrafterKind.Categorical)]
    public void Same_u_same_tokens_for_any_budget_mode_and_weight(DrafterKind kind)
    {
        var spent = new HashSet<(int, long, long)>();
        Cases.RunSeeds(Seeds, seed =>
        {
            var drawn = new ExactnessCase(_backend, 20_000 + (ulong)seed);
            foreach (var (number, mode) in s_modes.Index())
            {
                var decoder = Decoder(drawn, kind, mode, seed * 13 % 64, s_weights[(seed + number) % s_weights.Length]);
                var difference = drawn.Difference(decoder);
                Assert.True(difference is null, $"{drawn}, {mode}: {difference}");
                if (seed % 10 == 0)
                {
                    var stats = decoder.Decode(drawn.Prompt, drawn.U, drawn.Limits).Stats;
                    spent.Add((seed, stats.Calls, stats.Rows));
                }
            }
        });

        // Control: the options do something; equal tokens from equal calls would say nothing. A tenth of the seeds is looked at.
        Assert.InRange(spent.Count, 2 * Seeds / 10, s_modes.Length * Seeds / 10);
    }

    public void Dispose() => _backend.Dispose();

    private static PartialQuadraticDecoding Decoder(
        ExactnessCase drawn, DrafterKind kind, string mode, int budget, ConfidenceCalibration? weights)
    {
        var ptp = drawn.Slotted(kind);
        ptp.Confidence = weights;
        var random = new RandomStream(drawn.Seed, "costs");
        var costs = mode != "by cost" ? null : new CallCosts([
            .. from rows in (int[])[1, 8, 64] from context in (int[])[0, 64]
               select new CallCost(rows, context, 1 + 0.05 * rows * random.NextDouble())]);
        return new PartialQuadraticDecoding(ptp, drawn.Law, new PartialQuadraticOptions
        {
            // One branch's worth of slots is linear decoding, a full branch for each outcome the quadratic one.
            Budget = mode == "linear" ? ptp.Slots : mode == "quadratic" ? ptp.Slots * (ptp.Slots + 1) : budget,
            Slots = budget % 3 == 0 ? 1 + budget / 3 : 0,
            Costs = costs,
            Drafting = costs,
            AsPrinted = mode == "as printed",
            Branching = mode == "fitted survival" ? new BranchingModel(0.1, 0.02 + 0.015 * budget, 0.5) : null,
        });
    }

    private static ConfidenceCalibration Always(double chance) => new([0.5], [chance]);
}
