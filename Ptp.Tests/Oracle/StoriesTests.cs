// The scalar transformer on real weights: stored logits, stored greedy tokens, and stored u with the tokens they pick.
// Source: stories260K in Hugging Face form, with vectors computed by llama2.c.
// Skips, with a reason, where the real data is absent. Reads F32 safetensors alone.

using System.Buffers.Binary;
using System.Text.Json;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Oracle;

public sealed class StoriesTests
{
    private const string Greedy = "vectors/llama2c/stories260K.greedy200";
    private const string Sampling = "vectors/llama2c/stories260K.sampling.seed42.topp100.json";

    private static readonly ScalarConfig Config = new(
        Vocabulary: 512, Hidden: 64, Intermediate: 172, Layers: 5, Heads: 8, KeyValueHeads: 4, HeadSize: 8,
        RopeTheta: 10_000, NormEps: 1e-5, Tied: true);

    [DataFact("models/stories260K-hf/model.safetensors", Greedy + ".logits.f32.npy")]
    public void Logits_and_greedy_tokens_equal_the_stored_ones_at_every_position()
    {
        var stored = NpyFile.Read(TestData.Path(Greedy + ".logits.f32.npy")).Values; // [201, 512]
        var tokens = Json(Greedy + ".json").GetProperty("tokens").Deserialize<int[]>()!;
        var pass = new ScalarTransformer(Config, ReadWeights()).Forward(ScalarCall.Causal(tokens));
        Assert.Equal(stored.Length, pass.Logits.Length);
        Assert.True(Distance(stored, pass.Logits) < 1e-4, $"Logits differ by {Distance(stored, pass.Logits)}.");

        var argmax = new ScalarLaw(Temperature: 0);
        for (var r = 0; r + 1 < tokens.Length; r++)
        {
            Assert.Equal(tokens[r + 1], ScalarPick.Token(0.5, argmax.FromLogits(pass.Row(r))));
        }
    }

    [DataFact("models/stories260K-hf/model.safetensors", Sampling)]
    public void Stored_auxiliaries_pick_the_stored_tokens()
    {
        var tokens = Json(Sampling).GetProperty("tokens").Deserialize<int[]>()!;
        var u = Json(Sampling).GetProperty("u").Deserialize<double[]>()!;
        var pass = new ScalarTransformer(Config, ReadWeights()).Forward(ScalarCall.Causal(tokens));
        var missedByOthers = 0;
        for (var g = 0; g < u.Length; g++)
        {
            var law = new ScalarLaw().FromLogits(pass.Row(g));
            Assert.Equal(tokens[g + 1], ScalarPick.Token(u[g], law));
            missedByOthers += tokens[g + 1] == ScalarPick.Token(1 - u[g], law) ? 0 : 1;
        }

        Assert.True(missedByOthers > 50, "Control: the mirrored u must pick other tokens.");
    }

    [DataFact("models/stories260K-hf/model.safetensors", Greedy + ".logits.f32.npy")]
    public void Control_another_rotary_base_gives_other_logits()
    {
        var tokens = Json(Greedy + ".json").GetProperty("tokens").Deserialize<int[]>()![..24];
        var stored = NpyFile.Read(TestData.Path(Greedy + ".logits.f32.npy")).Values[..(24 * 512)];
        var other = new ScalarTransformer(Config with { RopeTheta = 9_000 }, ReadWeights());
        Assert.True(Distance(stored, other.Forward(ScalarCall.Causal(tokens)).Logits) > 1e-2);
    }

    private static double Distance(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    private static JsonElement Json(string path) =>
        JsonDocument.Parse(File.ReadAllText(TestData.Path(path))).RootElement;

    /// <summary>Safetensors: header length (8 bytes, little endian), header (JSON), numbers.</summary>
    private static Dictionary<string, double[]> ReadWeights()
    {
        var bytes = File.ReadAllBytes(TestData.Path("models/stories260K-hf/model.safetensors"));
        var header = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        var weights = new Dictionary<string, double[]>();
        foreach (var entry in JsonDocument.Parse(bytes.AsMemory(8, header)).RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__")
            {
                continue;
            }

            Assert.Equal("F32", entry.Value.GetProperty("dtype").GetString());
            var offsets = entry.Value.GetProperty("data_offsets").Deserialize<int[]>()!;
            var values = new double[(offsets[1] - offsets[0]) / 4];
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(8 + header + offsets[0] + 4 * i));
            }

            weights[entry.Name] = values;
        }

        return weights;
    }
}
