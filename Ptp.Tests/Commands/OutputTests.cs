// The pieces that commands share: streamed text with stop strings, progress, plots, spelling help, information.
// Streams are compared with what one look at the whole text gives; rounds are cut at random.
// Not here: verbs; they have tests of their own.

using System.Globalization;
using System.Xml.Linq;
using Ptp.Core.Decoding;
using Ptp.Core.Text;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class OutputTests
{
    private static readonly ByteLevelBpe Bytes = BpeTrainer.Train([""], 256, []);

    [Seeds(300)]
    public void A_stream_is_the_text_up_to_the_first_stop_string(int seed)
    {
        var random = new Random(seed);
        string Letters(int length) => string.Concat(Enumerable.Range(0, length).Select(_ => "abcä€"[random.Next(5)]));
        var text = Letters(random.Next(0, 60));
        var stops = Enumerable.Range(0, random.Next(0, 4)).Select(_ => Letters(random.Next(1, 5))).ToArray();
        var end = stops.Select(s => text.IndexOf(s, StringComparison.Ordinal)).Where(i => i >= 0).DefaultIfEmpty(-1).Min();

        var written = "";
        var stream = new TextStream(Bytes, stops, true, (piece, _) => written += piece);
        var ids = Bytes.Encode(text);
        for (var at = 0; at < ids.Length;)
        {
            var count = Math.Min(random.Next(1, 7), ids.Length - at);
            if (!stream.Take(new Commitment(ids.AsMemory(at, count), random.Next(count + 1))))
            {
                break;
            }

            at += count;
        }

        stream.End();
        // A stop string that begins earlier may still be completed later than another one: the first complete one counts.
        var expected = FirstComplete(text, stops) is { } first ? text[..first] : text;
        Assert.Equal(expected, stream.Text);
        Assert.Equal(expected, written);
        Assert.Equal(end >= 0, stream.Stopped);
        Assert.Equal(stream.Tokens, ids.Take(stream.Tokens.Count));
    }

    [Fact]
    public void Progress_waits_then_shows_share_and_time_left()
    {
        var error = new StringWriter();
        var now = 0.0;
        using (var progress = new Progress(new CliHost(TextWriter.Null, error), "work", () => now))
        {
            foreach (var (time, done) in ((double, double)[])[(0, 0), (1, 10), (5, 50), (6, 60), (16, 80)])
            {
                now = time;
                progress.Report(done, 100, "detail");
            }
        }

        var lines = error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.Equal("work  50 %  detail  ETA 0:05", lines[0]);
        Assert.Equal("work  80 %  detail  ETA 0:04", lines[1]);
    }

    [Fact]
    public void On_a_terminal_progress_is_one_line_that_goes_away()
    {
        var error = new StringWriter();
        var progress = new Progress(new CliHost(TextWriter.Null, error) { ErrorIsTerminal = true }, "work", () => 3);
        progress.Report(1, 4);
        Assert.DoesNotContain('\n', error.ToString());
        Assert.Contains("25 %", error.ToString(), StringComparison.Ordinal);
        progress.Dispose();
        Assert.EndsWith("\r", error.ToString(), StringComparison.Ordinal);
    }

    // 300 ranges: bounds are around them and not far, ticks are four to eleven and round.
    [Fact]
    public void Axes_are_round_and_tight() => Cases.Run(300, random =>
    {
        var low = (2 * random.NextDouble() - 1) * Math.Pow(10, random.Next(-3, 5));
        var high = low + random.NextDouble() * Math.Pow(10, random.Next(-3, 5));
        var (from, to, step) = SvgPlot.Axis(low, high);
        Assert.InRange(low, from, to + 1e-9 * Math.Abs(to));
        Assert.InRange(high, from, to + 1e-6 * (to - from));
        Assert.InRange((to - from) / step, 0.99, 12.01);
        Assert.True(to - from < 1.6 * (high - low), $"[{low}, {high}]: {from} to {to} by {step}");
        Assert.True(Math.Round(step / Math.Pow(10, Math.Floor(Math.Log10(step) + 1e-9)), 6) is 1 or 2 or 5, $"a step of {step}");
    });

    [Fact]
    public void A_plot_is_well_formed_whatever_the_numbers()
    {
        SvgLine[] lines =
        [
            new("a < b & c", [(0, 1), (10, 3.5), (20, double.NaN), (30, -1e-9)]),
            new("one point", [(5, 2)]),
            new("nothing", []),
        ];
        var root = XDocument.Parse(SvgPlot.Draw("t < u", "x", "y", lines)).Root!;
        Assert.Equal(2, root.Elements().Count(e => e.Name.LocalName == "polyline"));
        Assert.DoesNotContain("NaN", root.ToString(), StringComparison.Ordinal);
        Assert.Throws<Core.PtpException>(() => SvgPlot.Draw("t", "x", "y", []));

        // The legend stands beside the plot, and no two lines look alike.
        var many = XDocument.Parse(SvgPlot.Draw("t", "x", "y", [.. Enumerable.Range(0, 14).Select(i => new SvgLine($"line {i}", [(0, i), (1, 0)]))])).Root!;
        string Of(XElement element, string name) => element.Attribute(name)!.Value;
        XElement[] drawn = [.. many.Elements().Where(e => e.Name.LocalName == "polyline")];
        Assert.Equal(14, drawn.Select(l => (Of(l, "stroke"), Of(l, "stroke-dasharray"))).Distinct().Count());
        var names = many.Elements().Where(e => e.Value.StartsWith("line", StringComparison.Ordinal)).Select(e => double.Parse(Of(e, "x"), CultureInfo.InvariantCulture));
        var right = drawn.SelectMany(l => Of(l, "points").Trim().Split(' ')).Max(p => double.Parse(p.Split(',')[0], CultureInfo.InvariantCulture));
        Assert.All(names, x => Assert.True(x > right, $"{x} {right}"));

        SvgBar[] bars = [new("a < b & c", "good", [1, double.NaN]), new("d", "bad", [0, 4])];
        var chart = XDocument.Parse(SvgBars.Draw("t < u", ["p", "q"], ["good", "bad"], bars)).Root!;
        Assert.Equal(2 + 3, chart.Elements().Count(e => e.Name.LocalName == "rect")); // legend, bars
        Assert.DoesNotContain("NaN", chart.ToString(), StringComparison.Ordinal);
        Assert.Throws<Core.PtpException>(() => SvgBars.Draw("t", ["p"], ["good"], []));
    }

    [Theory]
    [InlineData("--tempurature", "--temperature")]
    [InlineData("evl", "eval")]
    [InlineData("something", null)]
    [InlineData("x", null)]
    public void A_near_name_is_offered(string typed, string? expected) =>
        Assert.Equal(expected, Cli.Nearest(typed, ["eval", "demo", "--temperature"]));

    [Fact]
    public void Shares_sum_to_one_and_the_unnamed_divide_the_rest_by_size()
    {
        WeightedDocuments[] corpora = [new("a", [[1]], 100), new("b", [[1]], 300), new("c", [[1]], 100)];
        var shared = TrainingInput.Shared(corpora, new Dictionary<string, double> { ["c"] = 0.6 });
        Assert.Equal([0.1, 0.3, 0.6], shared.Select(s => Math.Round(s.Share, 12)));
        var even = TrainingInput.Shared(corpora, new Dictionary<string, double> { ["a"] = 1, ["b"] = 0, ["c"] = 0 });
        Assert.Equal("a", Assert.Single(even).Name);
        Assert.Throws<Core.PtpException>(() => TrainingInput.Shared(corpora, new Dictionary<string, double> { ["d"] = 0.1 }));
        Assert.Throws<Core.PtpException>(() => TrainingInput.Shared(corpora, new Dictionary<string, double> { ["a"] = 1.2 }));
    }

    [Theory]
    [InlineData("demo")]
    [InlineData("generate")]
    [InlineData("eval")]
    [InlineData("compare")]
    [InlineData("corpus")]
    [InlineData("tokenizer", "train")]
    [InlineData("train")]
    [InlineData("distill")]
    [InlineData("info")]
    [InlineData("export")]
    [InlineData("bench", "calls")]
    [InlineData("bench", "decode")]
    public void Help_teaches(params string[] verb)
    {
        var run = CliRun.Of([.. verb, "--help"]);
        Assert.Equal(0, run.Code);
        Assert.Contains("Examples:", run.Out, StringComparison.Ordinal);
        Assert.Contains("ptp " + string.Join(' ', verb), run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Info_says_what_would_be_used()
    {
        var info = CliRun.Result("info", "--threads", "2");
        Assert.Equal(2, info.GetProperty("threads").GetInt32());
        Assert.Contains(info.GetProperty("vector_bits").GetInt32().ToString(System.Globalization.CultureInfo.InvariantCulture),
            info.GetProperty("device").GetString(), StringComparison.Ordinal);
        Assert.Contains("used", CliRun.Of("info").Out, StringComparison.Ordinal);
        Assert.Contains("demo", CliRun.Of().Out, StringComparison.Ordinal);
    }

    /// <summary>Where the first stop string begins, reading letter by letter; of several completed at once, the longest.</summary>
    private static int? FirstComplete(string text, string[] stops)
    {
        for (var length = 1; length <= text.Length; length++)
        {
            var begins = stops.Where(s => text.AsSpan(0, length).EndsWith(s)).Select(s => length - s.Length).ToList();
            if (begins.Count > 0)
            {
                return begins.Min();
            }
        }

        return null;
    }
}
