// ptp flow train: every flow on every law for a few steps, pictures and figures; a stopped run goes on to the same bytes; refusals.
// The laws in the plane have the densities they claim. Not here: how well flows learn, which takes a minute each (docs/04).

using System.Xml.Linq;
using Ptp.Core;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Ptp.Reference.Studies;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class FlowVerbTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-flow-").FullName;

    [Theory]
    [InlineData("moons", "spline-coupling")]
    [InlineData("rings", "affine-coupling")]
    [InlineData("checkerboard", "maf")]
    [InlineData("moons", "maf-spline")]
    [InlineData("rings", "free-form")]
    public void A_flow_is_trained_drawn_and_measured(string data, string flow)
    {
        var result = CliRun.Result(Train(data, flow, 3));
        Assert.Equal(3, result.GetProperty("steps").GetInt32());
        Assert.True(result.GetProperty("test_log_likelihood").GetDouble() < result.GetProperty("true_log_likelihood").GetDouble());
        var panels = XDocument.Load(result.GetProperty("picture").GetString()!).Root!.Elements().Count(e => e.Name.LocalName == "g");
        Assert.Equal(2, panels);
        CliRun.Refuses("finished", Train(data, flow, 3));
    }

    // Stopped before its first step; stops in between are FreeFormTests' affair.
    [Fact]
    public void A_stopped_run_goes_on_to_the_same_weights()
    {
        string[] whole = Train("moons", "spline-coupling", 6, "whole"), parts = Train("moons", "spline-coupling", 6, "parts");
        CliRun.Result(whole);
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var host = new CliHost(TextWriter.Null, TextWriter.Null) { Cancellation = stop.Token };
        var stopped = CliRun.Of(host, parts);
        Assert.Equal(ErrorOutput.Stopped, stopped.Code);
        Assert.Contains("goes on from here", stopped.Out, StringComparison.Ordinal);
        CliRun.Refuses("lr = 0.1", [.. parts, "--lr", "0.1"]);
        CliRun.Result(parts);
        Assert.Equal(File.ReadAllBytes(Path.Combine(_folder, "whole", "model.safetensors")), File.ReadAllBytes(Path.Combine(_folder, "parts", "model.safetensors")));
    }

    [Fact]
    public void Unknown_data_and_flows_are_refused()
    {
        CliRun.Refuses("moons", "flow", "train", "spiral");
        CliRun.Refuses("maf", "flow", "train", "moons", "--flow", "magic");
        CliRun.Refuses("positive weight", "flow", "train", "moons", "--flow", "free-form", "--beta", "0", "--output", Path.Combine(_folder, "none"));
        CliRun.Refuses("half side", "flow", "train", "moons", "--flow", "free-form", "--spread", "-1", "--output", Path.Combine(_folder, "none"));
        Assert.Throws<PtpException>(() => PlaneLaw.Parse("spiral"));
    }

    // Mass one, and frequencies of 4,000 points in the squares of an 8 x 8 grid (false alarm 1e-9); the control shifts the points.
    [Theory]
    [InlineData("moons")]
    [InlineData("rings")]
    [InlineData("checkerboard")]
    public void A_law_in_the_plane_has_the_density_it_claims(string name)
    {
        const int Side = 160;
        const int Squares = 8;
        var law = PlaneLaw.Parse(name);
        var (left, bottom, right, top) = law.Frame;
        var cells = new double[Squares * Squares + 1];
        for (var i = 0; i < Side * Side; i++)
        {
            var (x, y) = (left + (i % Side + 0.5) / Side * (right - left), bottom + (i / Side + 0.5) / Side * (top - bottom));
            cells[i / Side * Squares / Side * Squares + i % Side * Squares / Side] += Math.Exp(law.LogDensity(x, y)) * (right - left) * (top - bottom) / (Side * Side);
        }

        Assert.Equal(1, cells.Sum(), 0.03); // squares of the grid are cut by the checkerboard's edges
        for (var i = 0; i < cells.Length; i++)
        {
            cells[i] = Math.Max(cells[i], 1e-4); // what the grid leaves out, and the cell of points outside
        }

        var sum = cells.Sum();
        double[] probabilities = [.. cells.Select(c => c / sum)];
        Assert.Null(GoodnessOfFit.Fault(Counts(0), probabilities));
        Assert.NotNull(GoodnessOfFit.Fault(Counts(0.35), probabilities));

        int[] Counts(double shift)
        {
            var (random, counts) = (new RandomStream(1, name), new int[cells.Length]);
            for (var i = 0; i < 4_000; i++)
            {
                var (x, y) = law.Sample(random);
                var column = (int)Math.Floor((x + shift - left) / (right - left) * Squares);
                var row = (int)Math.Floor((y - bottom) / (top - bottom) * Squares);
                counts[column is >= 0 and < Squares && row is >= 0 and < Squares ? row * Squares + column : Squares * Squares]++;
            }

            return counts;
        }
    }

    private string[] Train(string data, string flow, int steps, string? name = null) =>
    [
        "flow", "train", data, "--flow", flow, "--steps", $"{steps}", "--rows", "16", "--threads", "1", "--output",
        Path.Combine(_folder, name ?? data + flow),
    ];

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
