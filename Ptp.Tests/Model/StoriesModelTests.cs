// Real weights through the library: stored logits, stored greedy tokens, stored u with the tokens they picked.
// Source: stories260K in Hugging Face form; vectors computed by llama2.c.
// Skips, with a reason, where the real data is absent.

using System.Text.Json;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Model;

public sealed class StoriesModelTests : IDisposable
{
    private const string Folder = "models/stories260K-hf";
    private const string Greedy = "vectors/llama2c/stories260K.greedy200";
    private const string Sampling = "vectors/llama2c/stories260K.sampling.seed42.topp100.json";
    private readonly CpuBackend _backend = new(1);

    [DataFact(Folder, Greedy + ".logits.f32.npy")]
    public void Logits_equal_the_stored_ones_at_all_201_positions()
    {
        var stored = NpyFile.Read(TestData.Path(Greedy + ".logits.f32.npy"));
        Assert.Equal([201, 512], stored.Shape);
        var logits = Logits(Tokens(Greedy + ".json"));
        var worst = stored.Values.Zip(logits, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(worst < 1e-4, $"Logits differ by {worst}.");
    }

    [DataFact(Folder, Greedy + ".json")]
    public void Greedy_decoding_gives_the_stored_200_tokens()
    {
        var tokens = Tokens(Greedy + ".json");
        var decoded = new Autoregressive(Load(), SamplingOptions.Greedy, InverseCdf.Instance)
            .Decode(tokens[..1], Auxiliaries.FromSeed(1), new DecodeLimits(200, []));
        Assert.Equal(tokens[1..], decoded.Tokens);
        Assert.Equal((StopReason.MaxTokens, 200L), (decoded.Stop, decoded.Stats.Calls));
    }

    [DataFact(Folder, Sampling)]
    public void Stored_u_give_the_stored_tokens()
    {
        using var json = JsonDocument.Parse(File.ReadAllText(TestData.Path(Sampling)));
        var u = json.RootElement.GetProperty("u").Deserialize<float[]>()!;
        var tokens = Tokens(Sampling);
        Assert.True(u.Length >= 100, "The vector is too short to mean anything.");
        Assert.Equal(tokens[1..(u.Length + 1)], Sampled(u, tokens[0]));

        // Control: the mirrored u pick another text.
        Assert.NotEqual(tokens[1..(u.Length + 1)], Sampled([.. u.Select(x => 0.999f - 0.999f * x)], tokens[0]));
    }

    [DataFact(Folder, Greedy + ".json")]
    public void Control_another_rotary_base_or_one_swapped_weight_is_seen()
    {
        var tokens = Tokens(Greedy + ".json")[..24];
        var stored = NpyFile.Read(TestData.Path(Greedy + ".logits.f32.npy")).Values[..(24 * 512)];
        var model = Load();
        var query = model.Parameters.First(p => p.Name.Contains("q_proj", StringComparison.Ordinal));
        var values = query.Value.Span.ToArray();
        (values[0], values[1]) = (values[1], values[0]);
        Initialise.Set(query, values);
        Assert.True(stored.Zip(Logits(tokens, model), (a, b) => Math.Abs(a - b)).Max() > 1e-4);
    }

    public void Dispose() => _backend.Dispose();

    private Transformer Load() => ModelCheckpoint.Load(TestData.Path(Folder), _backend);

    private int[] Sampled(float[] u, int start) =>
        new Autoregressive(Load(), new SamplingOptions(), InverseCdf.Instance)
            .Decode([start], Auxiliaries.FromValues(u), new DecodeLimits(u.Length, [])).Tokens;

    private float[] Logits(int[] tokens, Transformer? model = null)
    {
        var rows = new CallRows([.. Enumerable.Range(0, tokens.Length)], Visibility.Causal(0, tokens.Length));
        return (model ?? Load()).Forward(new Tape(_backend), tokens, rows).Value.Span.ToArray();
    }

    private static int[] Tokens(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(TestData.Path(path)));
        return json.RootElement.GetProperty("tokens").Deserialize<int[]>()!;
    }
}
