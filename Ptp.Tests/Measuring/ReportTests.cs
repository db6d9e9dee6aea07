// Ptp.Bench's report at its smallest: the JSON has exactly the promised keys, absent peers are null and never an error, ratios and shares
// point the right way for rates and for times, a contestant that fails leaves the others alone, every rung of the ladder is a product.
// Controls: a slower side must lose, a wrong result must not agree. Not here: any time, which would depend on the machine.

using System.Text.Json;
using Ptp.Bench;
using Ptp.Bench.Kernels;
using Ptp.Bench.Peers;
using Xunit;

namespace Ptp.Tests.Measuring;

public sealed class ReportTests
{
    private static readonly string[] s_keys = ["name", "ours", "unit", "peer", "peer_value", "ratio", "floor", "share_of_floor"];
    private static readonly string[] s_native = ["OpenBLAS", "ONNX Runtime", "PyTorch", "llama.cpp"];

    [Fact]
    public void Without_peers_every_row_is_there_and_theirs_are_null()
    {
        var (code, text, _) = Run("check", "--json", "--no-peers");
        Assert.Equal(0, code);
        var root = JsonDocument.Parse(text).RootElement;
        Assert.Equal(["rows"], root.EnumerateObject().Select(p => p.Name));
        var rows = root.GetProperty("rows").EnumerateArray().ToArray();
        Assert.All(rows, row => Assert.Equal(s_keys, row.EnumerateObject().Select(p => p.Name)));
        Assert.Equal(rows.Length, rows.Select(Name).Distinct().Count());
        foreach (var row in rows)
        {
            var isNative = s_native.Contains(row.GetProperty("peer").GetString());
            var (ours, theirs, ratio) = (Number(row, "ours"), Number(row, "peer_value"), Number(row, "ratio"));
            Assert.True(ours >= 0 || (ours is null && isNative), Name(row));
            Assert.True(!isNative || theirs is null, Name(row));
            Assert.Equal(ours is null || theirs is null, ratio is null);
        }

        foreach (var part in (string[])["product", "dX", "dW", "few rows", "one row", "exp", "softmax", "silu", "attention", "training step",
            "decoding", "prompt of", "call of 8 rows", "PTP", "bytes per decoded token", "bytes per training step", "int8", "BF16"])
        {
            Assert.Contains(rows, row => Name(row).Contains(part, StringComparison.Ordinal));
        }
    }

    // 100 contests of made-up times: whichever way the unit counts, above 1 means that ours is better.
    [Fact]
    public void Ratios_and_shares_point_to_the_better_side() => Cases.Run(100, random =>
    {
        var (ours, theirs, floor) = (0.1 + random.NextDouble(), 0.1 + random.NextDouble(), 0.1 + random.NextDouble());
        foreach (var unit in (Unit[])[Unit.Gigaflops, Unit.NanosecondsPerElement])
        {
            var rows = Contest.Run(Plan.Tiny, "", "x", unit, 2, _ => ours,
                [new("A", "1", _ => theirs), new("B", null, null), new("C", null, _ => double.NaN)], () => unit.Of(2, floor)).ToArray();
            Assert.Equal([theirs / ours, null, null], rows.Select(r => r.Ratio), Close);
            Assert.Equal(["x", "x, against B", "x, against C"], rows.Select(r => r.Name));
            Assert.Equal(["A 1", "B", "C"], rows.Select(r => r.Peer));
            Assert.All(rows, r => Assert.Equal(floor / ours, r.ShareOfFloor!.Value, 1e-9));
            Assert.Equal(ours < theirs, rows[0].Ratio > 1);
        }
    });

    [Fact]
    public void A_side_that_is_missing_is_null_in_every_figure_of_it()
    {
        var row = Contest.Run(Plan.Tiny, "", "x", Unit.Gigabytes, 1, null, [new("A", null, _ => 0.5)], () => 3).Single();
        Assert.Equal((null, 2.0, null, 3.0, null), (row.Ours, row.PeerValue, row.Ratio, row.Floor, row.ShareOfFloor));
    }

    // 20 products by every rung; control: one wrong element does not agree.
    [Fact]
    public void Every_rung_of_the_ladder_is_the_same_product() => Cases.Run(20, random =>
    {
        using var rungs = new ProductRungs(1 + random.Next(20), 1 + random.Next(70), 1 + random.Next(70));
        rungs.ThreeLoops();
        var expected = rungs.Y.Span.ToArray();
        foreach (var (name, body) in rungs.All)
        {
            rungs.Y.Span.Fill(float.NaN);
            body();
            Ptp.Bench.Bench.Agree(name, expected, rungs.Y.Span, 1e-5);
        }

        rungs.Y.Span[random.Next(expected.Length)] += 0.01f * expected.Max(MathF.Abs);
        Assert.Throws<InvalidOperationException>(() => Ptp.Bench.Bench.Agree("control", expected, rungs.Y.Span, 1e-5));
    });

    // Tiles of 256 bits on 20 shapes without edges: the library's bits from every rung; control: one changed element is seen.
    [Fact]
    public void Every_rung_of_the_quarter_ladder_has_the_same_bits() => Cases.Run(20, random =>
    {
        using var rungs = new QuarterRungs(1 + random.Next(3), 1 + random.Next(70), 1 + random.Next(3));
        rungs.Library();
        var expected = rungs.Y.Span.ToArray();
        foreach (var (name, body) in rungs.All)
        {
            rungs.Y.Span.Fill(float.NaN);
            body();
            Assert.True(rungs.Y.Span.SequenceEqual(expected), name);
        }

        rungs.Y.Span[random.Next(expected.Length)] *= 1 + 1e-6f;
        Assert.False(rungs.Y.Span.SequenceEqual(expected));
    });

    // The example of the encoding's own documentation: 300 is AC 02, and a text is its length and its bytes.
    [Fact]
    public void Graphs_are_in_the_wire_format()
    {
        var model = OnnxGraph.Model([new OnnxTensor("x", [300])], new OnnxTensor("y", [300]), new OnnxNode("Exp", ["x"], "y"));
        Assert.Equal([0x08, 0x08, 0x3A], model[..3]); // ir_version 8, then the graph
        Assert.Equal(2, Count(model, [0x12, 0x05, 0x0A, 0x03, 0x08, 0xAC, 0x02])); // one size of 300, in input and output
        Assert.Equal(1, Count(model, [0x22, 0x03, (byte)'E', (byte)'x', (byte)'p'])); // op_type
        Assert.Equal(0, Count(model, [0x08, 0xAD, 0x02])); // control: nothing of size 301
    }

    [Theory]
    [InlineData("rows", "rows")]
    [InlineData("gem", "check", "gem")]
    [InlineData("5M", "calls", "5M")]
    [InlineData("folder", "model", "15M")]
    public void Unknown_words_are_refused_with_a_way_out(string part, params string[] args)
    {
        var (code, text, error) = Run(args);
        Assert.Equal((2, ""), (code, text));
        Assert.Contains(part, error, StringComparison.Ordinal);
        Assert.Contains("received", error, StringComparison.Ordinal);
        Assert.Contains("expected", error, StringComparison.Ordinal);
    }

    private static (int Code, string Out, string Error) Run(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        return (BenchCommand.Run(args, output, error), output.ToString(), error.ToString());
    }

    private static bool Close(double? a, double? b) => a is null || b is null ? a is null && b is null : Math.Abs(a.Value - b.Value) < 1e-9;

    private static string Name(JsonElement row) => row.GetProperty("name").GetString()!;

    private static double? Number(JsonElement row, string key) =>
        row.GetProperty(key) is { ValueKind: JsonValueKind.Number } value ? value.GetDouble() : null;

    private static int Count(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> part)
    {
        var count = 0;
        for (var at = bytes.IndexOf(part); at >= 0; at = bytes.IndexOf(part))
        {
            count++;
            bytes = bytes[(at + 1)..];
        }

        return count;
    }
}
