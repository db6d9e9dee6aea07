// GGUF: what is written is read again, Q8_0 keeps its error bound, a file of others is understood, damage is refused.
// Also the order of rows that llama.cpp's RoPE wants: turned as neighbours there, the scores are those of halves here.
// Control: rows left in our order give other scores. Not here: llama.cpp itself.

using Ptp.Core;
using Ptp.Core.Formats;
using Ptp.Core.Text;
using Ptp.Tests.Commands;
using Xunit;

namespace Ptp.Tests.Formats;

[Collection(SharedTinyModels.Name)]
public sealed class GgufTests(TinyModels tiny) : IDisposable
{
    private static readonly GgufType[] s_types = [GgufType.F32, GgufType.F16, GgufType.BF16, GgufType.Q8_0];
    private static readonly string[] s_texts = ["", "x", "\u00e9"];
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // 60 files: generated tensors of every type and metadata of every type.
    [Fact]
    public void What_is_written_is_read_again() => Cases.Run(60, random =>
    {
        var tensors = Enumerable.Range(0, 1 + random.Next(5)).Select(i =>
        {
            int[] shape = [.. Enumerable.Range(0, random.Next(3)).Select(_ => 1 + random.Next(5)), 32 * (1 + random.Next(3))];
            var values = Normal(random, shape.Aggregate(1, (a, b) => a * b));
            return new GgufTensor($"t{i}", shape, s_types[random.Next(s_types.Length)], () => values);
        }).ToArray();
        List<KeyValuePair<string, object>> metadata =
        [
            new("a", (uint)random.Next()), new("b", -random.Next()), new("c", random.NextSingle()), new("d", random.Next(2) == 0),
            new("e", "\u2581text\n"), new("f", s_texts), new("g", Normal(random, 3)), new("h", Array.Empty<int>()),
        ];
        Gguf.Write(FilePath, metadata, tensors);
        var file = GgufFile.Read(FilePath);
        Assert.Equal(metadata.Select(m => m.Key), file.Metadata.Keys);
        foreach (var (key, value) in metadata)
        {
            Assert.Equal(value is Array items ? items.Cast<object>().ToArray() : value, file.Metadata[key]);
        }

        foreach (var tensor in tensors)
        {
            Assert.Equal(tensor.Shape, file.Tensors[tensor.Name].Shape);
            var (written, read) = (tensor.Values(), file.Values(tensor.Name));
            for (var i = 0; i < written.Length; i++)
            {
                var block = written.AsSpan(i / 32 * 32, 32).ToArray().Max(MathF.Abs);
                // Half a step, and the scale's own rounding to 11 bits over up to 127 steps.
                var error = tensor.Type switch
                {
                    GgufType.F32 => 0,
                    GgufType.F16 => MathF.Abs(written[i]) / 2048 + 1e-7f,
                    GgufType.BF16 => MathF.Abs(written[i]) / 256,
                    _ => block / 127 / 2 + block / 2048 + 1e-6f,
                };
                Assert.InRange(MathF.Abs(written[i] - read[i]), 0, error);
            }
        }
    });

    [Fact]
    public void A_block_of_Q8_0_is_scale_and_rounded_steps()
    {
        var values = new float[32];
        (values[0], values[1], values[2], values[31]) = (-12.7f, 0.25f, 0.05f, 6.4f);
        var bytes = new byte[34];
        GgufQuantization.Encode(values, GgufType.Q8_0, bytes);
        Assert.Equal((Half)0.1f, BitConverter.ToHalf(bytes));
        Assert.Equal([129, 3, 1], bytes[2..5]); // -127; 2.5 and 0.5 round away from zero
        Assert.Equal(64, bytes[33]);
        GgufQuantization.Encode(new float[32], GgufType.Q8_0, bytes);
        Assert.All(bytes, b => Assert.Equal(0, b));
    }

    // 40 heads: q k after RoPE on halves equals q k after RoPE on neighbours of interleaved rows.
    [Fact]
    public void Interleaved_rows_give_neighbours_the_scores_of_halves() => Cases.Run(40, random =>
    {
        var (heads, size, columns) = (1 + random.Next(3), 2 * (1 + random.Next(8)), 4);
        var x = Normal(random, columns);
        var (q, k) = (Weight(random, heads * size, columns), Weight(random, heads * size, columns));
        var (p, r) = (random.Next(50), random.Next(50));
        for (var head = 0; head < heads; head++)
        {
            double Score(float[] a, float[] b, bool neighbours) => Dot(
                Turned(Product(a, x, head * size, size), p, neighbours), Turned(Product(b, x, head * size, size), r, neighbours));
            var expected = Score(q.Values, k.Values, neighbours: false);
            var (a, b) = (GgufModel.Interleave(q, heads), GgufModel.Interleave(k, heads));
            Assert.InRange(Score(a, b, neighbours: true) - expected, -1e-4, 1e-4);
            if (size > 4 && p != r)
            {
                Assert.NotInRange(Score(q.Values, k.Values, neighbours: true) - expected, -1e-6, 1e-6); // the control
            }
        }
    });

    [Theory]
    [InlineData("f32")]
    [InlineData("bf16")]
    [InlineData("q8_0")]
    public void An_exported_model_holds_its_weights_and_its_tokenizer(string type)
    {
        var path = FilePath;
        Assert.Equal(path, CliRun.Result("export", "--model", tiny.Base, "--gguf", path, "--type", type).GetProperty("output").GetString());
        var (file, model) = (GgufFile.Read(path), ModelFolder.Read(tiny.Base));
        Assert.Equal("llama", file.Metadata["general.architecture"]);
        Assert.Equal((uint)model.Config.Layers, file.Metadata["llama.block_count"]);
        Assert.Equal(model.Tensors.Count, file.Tensors.Count);
        var value = model.Tensors["model.layers.0.self_attn.v_proj.weight"].Values;
        var read = file.Values("blk.0.attn_v.weight");
        if (type == "f32")
        {
            Assert.Equal(value, read);
        }

        var tokenizer = (ByteLevelBpe)Tokenizer.Load(Path.Combine(tiny.Base, "tokenizer.json"));
        Assert.Equal(tokenizer.Merges.Count, ((object[])file.Metadata["tokenizer.ggml.merges"]).Length);
        Assert.Equal(model.Config.VocabularySize, ((object[])file.Metadata["tokenizer.ggml.tokens"]).Length);
        CliRun.Refuses("one of f32, f16, bf16, q8_0", "export", "--gguf", path, "--type", "q4");
        CliRun.Refuses("no-such-model", "export", "--model", "no-such-model", "--gguf", path);
    }

    [DataFact("models/llama-tiny-random-gguf/llama-2-tiny-random.gguf")]
    public void A_file_of_others_is_read()
    {
        var file = GgufFile.Read(TestData.Path("models/llama-tiny-random-gguf/llama-2-tiny-random.gguf"));
        Assert.Equal("llama", file.Metadata["general.architecture"]);
        Assert.Equal(32000, ((object[])file.Metadata["tokenizer.ggml.tokens"]).Length);
        Assert.Equal(8, file.Tensors["token_embd.weight"].Shape[1]);
        Assert.All(file.Tensors.Keys, name => Assert.All(file.Values(name), v => Assert.True(float.IsFinite(v))));
    }

    [DataFact("models/stories260K-hf/config.json", "tokenizers/tok512/tok512.bin")]
    public void Pieces_are_exported_with_the_order_of_their_merges()
    {
        var tokenizer = TestData.Path("tokenizers/tok512/tok512.bin");
        CliRun.Result("export", "--model", TestData.Path("models/stories260K-hf"), "--tokenizer", tokenizer, "--gguf", FilePath);
        var file = GgufFile.Read(FilePath);
        Assert.Equal("llama", file.Metadata["tokenizer.ggml.model"]);
        var tokens = ((object[])file.Metadata["tokenizer.ggml.tokens"]).Cast<string>().ToArray();
        var types = ((object[])file.Metadata["tokenizer.ggml.token_type"]).Cast<int>().ToArray();
        var scores = ((object[])file.Metadata["tokenizer.ggml.scores"]).Cast<float>().ToArray();
        Assert.Equal(512, tokens.Length);
        Assert.Equal([2, 3, 3], types[..3]); // unknown, begin, end
        Assert.Equal(("<0x00>", "<0xFF>", 256), (tokens[3], tokens[258], types.Count(t => t == 6)));
        // llama2.c's file lists pieces by falling score; a begin of a word is spelled with U+2581.
        Assert.True(scores.AsSpan(259).ToArray().Zip(scores.AsSpan(260).ToArray()).All(p => p.First >= p.Second));
        Assert.Contains("\u2581the", tokens);
        Assert.DoesNotContain(tokens, t => t.Contains(' ', StringComparison.Ordinal));
    }

    // Every length cut short, and 2,000 files with bytes changed: the four-part error, or a file that can be read.
    [Fact]
    public void Damage_is_refused_without_a_large_buffer()
    {
        Gguf.Write(FilePath, [new("k", "v"), new("n", Normal(new Random(1), 2))],
            [new("a", [2, 32], GgufType.Q8_0, () => new float[64]), new("b", [3], GgufType.F32, () => [1, 2, 3])]);
        var whole = File.ReadAllBytes(FilePath);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var length = 0; length < whole.Length - Gguf.Alignment; length++)
        {
            File.WriteAllBytes(FilePath, whole[..length]);
            Assert.NotEmpty(Assert.Throws<PtpException>(() => GgufFile.Read(FilePath)).WayOut);
        }

        Cases.Run(2000, random =>
        {
            byte[] bytes = [.. whole];
            for (var i = 1 + random.Next(4); i > 0; i--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            File.WriteAllBytes(FilePath, bytes);
            try
            {
                var file = GgufFile.Read(FilePath);
                foreach (var name in file.Tensors.Keys)
                {
                    file.Values(name);
                }
            }
            catch (PtpException error)
            {
                Assert.NotEmpty(error.WayOut);
            }
        });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 60_000_000);
        Assert.Throws<PtpException>(() => GgufFile.Read(Path.Combine(_folder, "none.gguf")));
    }

    [Fact]
    public void What_a_file_cannot_hold_is_not_written()
    {
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [], [new("a", [2], GgufType.F32, () => [1])]));
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [], [new("a", [1], GgufType.F16, () => [70000])]));
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [], [new("a", [1], GgufType.F32, () => [float.NaN])]));
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [], [new("a", [33], GgufType.Q8_0, () => new float[33])]));
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [new("k", 1), new("k", 2)], []));
        Assert.Throws<PtpException>(() => Gguf.Write(FilePath, [new("k", 1L)], []));
        Assert.False(File.Exists(FilePath));
    }

    private string FilePath => Path.Combine(_folder, "model.gguf");

    private static float[] Normal(Random random, int count) =>
        Array.ConvertAll(Oracle.OracleGens.Normal(random, count), value => (float)value);

    private static StoredTensor Weight(Random random, int rows, int columns) => new("w", [rows, columns], Normal(random, rows * columns));

    private static double[] Product(float[] weight, float[] x, int first, int rows) =>
        [.. Enumerable.Range(first, rows).Select(r => x.Select((v, c) => (double)v * weight[r * x.Length + c]).Sum())];

    private static double[] Turned(double[] v, int position, bool neighbours)
    {
        var half = v.Length / 2;
        double[] turned = [.. v];
        for (var i = 0; i < half; i++)
        {
            var (a, b) = neighbours ? (2 * i, 2 * i + 1) : (i, i + half);
            var (sine, cosine) = Math.SinCos(position * Math.Pow(10000, -2.0 * i / v.Length));
            (turned[a], turned[b]) = (v[a] * cosine - v[b] * sine, v[a] * sine + v[b] * cosine);
        }

        return turned;
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
