// Property 9 for C-PTP: the law of t_k is the same to the bit for every u_k, u_{k+1}, ..., and another for another u_{k-1}.
// Source: PTP section 2.1; hiding u_k is done by the layout (a slot predicts the token behind the one whose u it carries).
// Controls: slots that are not moved by one see their own u; slots that see the whole call see later ones. Not here: trained slots.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class CategoricalVisibilityTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    private enum Layout
    {
        Categorical,
        NotMoved,
        SeesTheWholeCall,
    }

    // 60 models, two pick rules: laws of t_0 .. t_n with one token's numbers changed.
    [Fact]
    public void The_law_of_a_token_depends_on_earlier_numbers_alone() => Cases.RunSeeds(60, seed =>
    {
        var (k, changed) = Changed(seed, Layout.Categorical);
        for (var token = 0; token < changed.Length; token++)
        {
            Assert.True(changed[token] == token > k, $"law of token {token}, numbers of token {k} changed");
        }
    });

    [Theory]
    [InlineData(nameof(Layout.NotMoved))]
    [InlineData(nameof(Layout.SeesTheWholeCall))]
    public void Control_a_wrong_layout_is_seen(string layout)
    {
        var seen = 0;
        for (var seed = 1; seed <= 60; seed++)
        {
            var (k, changed) = Changed(seed, Enum.Parse<Layout>(layout));
            seen += changed[..(k + 1)].Any(c => c) ? 1 : 0;
        }

        Assert.InRange(seen, 30, 60);
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>Changes the numbers of token k; which laws of t_0, t_1, ... change by it.</summary>
    private (int K, bool[] Changed) Changed(int seed, Layout layout)
    {
        var random = new RandomStream((ulong)seed, "categorical slots");
        var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
        var lora = new GatedLora(_backend, model.Config, 2, 1, (ulong)seed);
        foreach (var parameter in lora.Parameters)
        {
            Initialise.Gaussian(parameter, random, 0.3);
        }

        PickRule rule = seed % 2 == 0 ? InverseCdf.Instance : new RacePick(3);
        var reading = layout == Layout.NotMoved ? SlotReading.OneHot : SlotReading.Categorical;
        var ptp = new SlotModel(model, lora, AuxiliaryEmbedding.Parse("linear:5"), 8, new SamplingOptions(), rule, 5, SlotStart.LastToken, reading);
        Initialise.Gaussian(ptp.Table, random, 1);
        var (slots, width) = (3 + random.NextInt(5), ptp.NumbersPerToken);
        float[] u = [.. Enumerable.Range(0, slots * width).Select(_ => random.NextInt(Cell.Grid) / (float)Cell.Grid)];
        var prompt = Enumerable.Range(0, 1 + random.NextInt(9)).Select(i => i % model.Config.VocabularySize).ToArray();
        var before = Laws(ptp, prompt, u, layout);
        var k = random.NextInt(slots);
        for (var j = k * width; j < (k + 1) * width; j++)
        {
            u[j] = u[j] < 0.5f ? 0.9f : 0.1f;
        }

        return (k, [.. Laws(ptp, prompt, u, layout).Zip(before, (a, b) => !a.SequenceEqual(b))]);
    }

    /// <summary>Logits of t_0, t_1, ...: the base's last row first, which no slot can reach, unless slots are not moved.</summary>
    private float[][] Laws(SlotModel ptp, int[] prompt, float[] u, Layout layout)
    {
        var tape = new Tape(_backend);
        var (rows, slots) = (prompt.Length, u.Length / ptp.NumbersPerToken);
        var x = tape.Empty(rows + slots, ptp.Network.Config.HiddenSize);
        tape.Embedding(ptp.Network.Embeddings, prompt, x.Slice(0, rows));
        ptp.Embed(tape, u, [.. Enumerable.Repeat(prompt[^1], slots)], x.Slice(rows, slots));
        var visibility = new Visibility().AddCausal(0, 0, rows);
        for (var slot = 0; slot < slots; slot++)
        {
            visibility.AddRow(0, 0).AddRange(0, rows + (layout == Layout.SeesTheWholeCall ? slots : slot + 1));
        }

        var positions = Enumerable.Range(0, rows + slots).Select(row => row < rows ? row : row - 1 + ptp.Shift).ToArray();
        var hidden = ptp.Network.Blocks(tape, x, new CallRows(positions, visibility, gateStart: rows), ptp.Lora);
        var logits = ptp.Network.Logits(tape, hidden).Value;
        var first = rows - ptp.Shift; // unmoved slots predict t_0 themselves
        return [.. Enumerable.Range(first, rows + slots - first).Select(row => logits.Row(row).ToArray())];
    }
}
