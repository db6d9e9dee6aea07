// Save, load, draft (property 12): a PTP model read from its folder drafts what the saved one drafts, rounds and all, to the bit.
// Source: PtpAdapter's folder. Control: one weight of the file's model moved changes drafts.
// Not here: damaged files (AdapterFolderTests), BF16, which rounds.

using Ptp.Core.Cpu;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class AdapterRoundTripTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-adapter-").FullName;

    // 30 random models each; every draft of every round is compared.
    [Theory]
    [InlineData(DrafterKind.Gated)]
    [InlineData(DrafterKind.Categorical)]
    public void A_loaded_model_drafts_what_the_saved_one_drafts(DrafterKind kind)
    {
        var differ = 0;
        Cases.RunSeeds(30, seed =>
        {
            var drawn = new ExactnessCase(_backend, (ulong)seed);
            var ptp = drawn.Slotted(kind);
            // Absurd weights make drafts of zeros; here they shall mean something.
            var random = new RandomStream((ulong)seed, "round trip");
            foreach (var parameter in ptp.Lora!.Parameters)
            {
                Initialise.Gaussian(parameter, random, 0.4);
            }

            var folder = Path.Combine(_folder, $"{kind}-{seed}");
            PtpAdapter.Save(folder, ptp, "base", "base", 7, StoredType.F32);
            var loaded = PtpAdapter.Load(folder, drawn.Model, "base");
            Assert.Equal((ptp.Slots, ptp.Rule.Name, ptp.Embedding.Name), (loaded.Slots, loaded.Rule.Name, loaded.Embedding.Name));
            var expected = Drafts(drawn, ptp);
            Assert.Equal(expected, Drafts(drawn, loaded));

            var table = loaded.Table.Value.Span.ToArray();
            Initialise.Set(loaded.Table, [.. table.Select(v => v + (float)random.NextGaussian())]);
            differ += expected == Drafts(drawn, loaded) ? 0 : 1;
        });
        Assert.InRange(differ, 8, 30);
    }

    public void Dispose()
    {
        _backend.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Drafts(ExactnessCase drawn, SlotModel ptp)
    {
        var rounds = new List<string>();
        drawn.ErrorCorrected(ptp.NewDrafter(), allSlots: true).Decode(drawn.Prompt, drawn.U, drawn.Limits, commitment =>
        {
            rounds.Add($"{string.Join(' ', commitment.Draft.ToArray())} > {string.Join(' ', commitment.Tokens.ToArray())}");
            return true;
        });
        return string.Join('\n', rounds);
    }
}
