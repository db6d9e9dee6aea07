// What a slot depends on (property 9): slot k on u_1..u_k and the context, never on later u or later slots.
// Source: PTP section 2.1; the independent baseline ([MASK]) depends on no u at all.
// Not here: what trained slots predict.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class SlotVisibilityTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 40 models: 40 changed slots each against all slots before and after it.
    [Theory]
    [InlineData("binary-float")]
    [InlineData("fixed-point")]
    [InlineData("linear:9")]
    [InlineData("number+mlp:8")]
    public void Slot_k_sees_u_up_to_k(string embedding) => Cases.RunSeeds(40, seed =>
    {
        var (ptp, session, u) = Draw(seed, embedding);
        var changed = seed % u.Length;
        var before = Slots(ptp, session, u, u.Length);
        u[changed] = u[changed] < 0.5f ? 0.9f : 0.1f;
        var after = Slots(ptp, session, u, u.Length);
        for (var slot = 0; slot < u.Length; slot++)
        {
            Assert.True(before[slot].SequenceEqual(after[slot]) == (slot < changed), $"slot {slot}, u_{changed} changed");
        }
    });

    [Fact]
    public void The_constant_embedding_sees_no_u() => Cases.RunSeeds(20, seed =>
    {
        var (ptp, session, u) = Draw(seed, "constant");
        var before = Slots(ptp, session, u, u.Length);
        Assert.Equal(before, Slots(ptp, session, [.. u.Select(x => (x + 0.5f) % 1)], u.Length));
    });

    // 30 models: a shorter draft is a prefix of a longer one, bit for bit.
    [Fact]
    public void Slots_do_not_see_how_many_follow() => Cases.RunSeeds(30, seed =>
    {
        var (ptp, session, u) = Draw(seed, "binary-float");
        var all = Slots(ptp, session, u, u.Length);
        for (var count = 1; count < u.Length; count++)
        {
            Assert.Equal(all[..count], Slots(ptp, session, u, count));
        }
    });

    // 20 models: slots as the oracle lays them out, in double.
    [Fact]
    public void Slots_equal_the_oracle() => Cases.RunSeeds(20, seed =>
    {
        var (ptp, session, u) = Draw(seed, "fixed-point");
        var tape = new Tape(_backend);
        var x = tape.Empty(u.Length, ptp.Network.Config.HiddenSize);
        ptp.Embed(tape, u, [.. u.Select(_ => session.Tokens[^1])], x);
        double[] vectors = [.. x.Value.Span.ToArray().Select(v => (double)v)];
        var call = ScalarCall.WithSlots([.. session.Tokens], vectors, ptp.Network.Config.HiddenSize);
        var expected = ScalarModels.Of(ptp.Network).Forward(call, ScalarModels.Of(ptp.Lora!));
        var slots = Slots(ptp, session, u, u.Length);
        for (var slot = 0; slot < u.Length; slot++)
        {
            Near.Holds($"slot {slot}", expected.Row(session.Tokens.Count + slot), slots[slot]);
        }
    });

    // 30 models: the law that drafting yields for the first token is plain decoding's, whatever the adapter.
    [Fact]
    public void Drafting_leaves_the_base_row_untouched() => Cases.RunSeeds(30, seed =>
    {
        var (ptp, session, u) = Draw(seed, "binary-float");
        var length = session.Cache.Length;
        ptp.NewDrafter().Propose(session, Auxiliaries.FromValues(u), 0, u.Length);
        var drafted = session.Law(0).ToArray();
        Assert.Equal(length + 1, session.Cache.Length);
        session.Cache.Crop(length);
        session.Verify([session.Tokens[^1]]);
        Assert.Equal(session.Law(0).ToArray(), drafted);
    });

    public void Dispose() => _backend.Dispose();

    private (SlotModel Ptp, ModelSession Session, float[] U) Draw(int seed, string embedding)
    {
        var random = new RandomStream((ulong)seed, "slots");
        var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
        var lora = new GatedLora(_backend, model.Config, 3, 0.7, (ulong)seed);
        foreach (var parameter in lora.Parameters)
        {
            Initialise.Gaussian(parameter, random, 0.3);
        }

        var ptp = new SlotModel(
            model, lora, AuxiliaryEmbedding.Parse(embedding), 8, SamplingOptions.Greedy, InverseCdf.Instance, 5,
            seed % 2 == 0 ? SlotStart.MeanToken : SlotStart.LastToken);
        Initialise.Gaussian(ptp.Table, random, 1);
        var session = new ModelSession(model, new SamplingOptions(), InverseCdf.Instance);
        session.Start([.. Enumerable.Range(0, 1 + random.NextInt(9)).Select(i => i % model.Config.VocabularySize)]);
        var numbers = Enumerable.Range(0, 2 + random.NextInt(7)).Select(_ => (float)random.NextInt(Cell.Grid) / Cell.Grid);
        return (ptp, session, [.. numbers]);
    }

    /// <summary>Logits of slots 0 to count - 1 behind the session's text; the cache is left as it was.</summary>
    private static float[][] Slots(SlotModel ptp, ModelSession session, float[] u, int count)
    {
        session.Tape.Reset();
        var x = ptp.Rows(
            session.Tape, session, [session.Tokens[^1]], Auxiliaries.FromValues(u), 0, count, out var rows);
        var logits = ptp.Network.Logits(session.Tape, ptp.Network.Blocks(session.Tape, x, rows, ptp.Lora)).Value;
        return [.. Enumerable.Range(1, count).Select(row => logits.Row(row).ToArray())];
    }
}
